internal import DFSClient
internal import DFSCore
internal import DFSTestSupport

/// One thing that a program does, and what it is told.
struct ClientOperation: Sendable {
  enum Kind: Sendable {
    /// Appends the operation's token to what each of these attributes of the root has: a lost update is seen.
    case count([AttributeName])
    case create(FileName)
    case remove(FileName)
    case link(FileName, FileName)
    case rename(FileName, FileName)
    /// Makes the token the group of the file.
    case mark(FileName)
    case look(FileName)
    case counters
    case list

    var isChange: Bool {
      switch self {
      case .count, .create, .remove, .link, .rename, .mark: true
      case .look, .counters, .list: false
      }
    }
  }

  enum Outcome: Sendable {
    case counted
    case created(FileName, InodeID)
    case removed(FileName, InodeID)
    /// A name leads to an inode that was there.
    case named(FileName, InodeID)
    case marked(InodeID)
    /// What a name leads to.
    case saw(FileName, Inode?)
    /// Refused, since the name leads to something.
    case exists(FileName)
    case sawCounters([AttributeName: [UInt8]])
    case sawList([FileName: Inode])
    /// It did not happen.
    case failed(DFSError)
    case unknown

    var brief: String {
      switch self {
      case .counted: "counted"
      case .created(let name, let id): "created \(name), inode \(id)"
      case .removed(let name, let id): "removed \(name), inode \(id)"
      case .named(let name, let id): "\(name) is inode \(id)"
      case .marked(let id): "marked inode \(id)"
      case .saw(let name, let inode): "saw \(name), \(inode.map { "inode \($0.id)" } ?? "nothing")"
      case .exists(let name): "\(name) exists"
      case .sawCounters(let values):
        values.sorted { $0.key < $1.key }.map { "\($0): \($1.count / 8)" }.joined(separator: ", ")
      case .sawList(let items):
        items.sorted { $0.key < $1.key }.map { "\($0): \($1.id)" }.joined(separator: ", ")
      case .failed(let error): "failed: \(error.message)"
      case .unknown: "unknown"
      }
    }

    var isChange: Bool {
      switch self {
      case .counted, .created, .removed, .named, .marked: true
      default: false
      }
    }

    var isSuccess: Bool {
      switch self {
      case .failed, .unknown: false
      default: true
      }
    }
  }

  let kind: Kind
  /// Tells it from all others.
  let token: UInt64
  let isDurable: Bool
  let namespace: Namespace

  func run() async -> Outcome {
    do {
      return try await attempt()
    } catch let error as DFSError {
      switch (error.code, kind.needed, kind.made) {
      case (.notFound, let name?, _): return .saw(name, nil)
      case (.exists, _, let name?): return .exists(name)
      case (.timedOut, _, _): return .unknown
      default: return .failed(error)
      }
    } catch {
      return .failed(DFSError(.inputOutput, "\(error)"))
    }
  }

  private func attempt() async throws -> Outcome {
    switch kind {
    case .count(let names):
      try await change { transaction in
        let all = try await transaction.attributes(.root)
        for name in names {
          transaction.putAttribute(.root, name, (all[name] ?? []) + token.bigEndianBytes)
        }
      }
      return .counted
    case .create(let name):
      let new = NewInode(kind: .regular, mode: 0o644, owner: UInt32(token), group: 0)
      return .created(name, try await change { try await $0.create(.root, name, new) }.id)
    case .remove(let name):
      return .removed(name, try await change { try await $0.unlink(.root, name) }.id)
    case .link(let name, let other):
      let inode = try await change { transaction in
        let inode = try await transaction.existingChild(.root, name)
        return try await transaction.link(inode.id, to: .root, other)
      }
      return .named(other, inode.id)
    case .rename(let name, let other):
      let renamed = try await change {
        try await $0.rename(.root, name, to: .root, other, .replace)
      }
      // Of two names of one inode both stay.
      let isDone = renamed.other?.id != renamed.moved.id
      return isDone ? .named(other, renamed.moved.id) : .exists(other)
    case .mark(let name):
      let inode = try await change { transaction in
        let inode = try await transaction.existingChild(.root, name)
        var change = AttributeChange()
        change.group = UInt32(token)
        return try await transaction.setAttributes(inode.id, change)
      }
      return .marked(inode.id)
    case .look(let name): return .saw(name, try await namespace.lookup(.root, name, .current))
    case .counters: return .sawCounters(try await namespace.attributes(.root, .current))
    case .list:
      let items = try await namespace.list(.root, .current)
      return .sawList(Dictionary(items.map { ($0.name, $0.inode) }) { $1 })
    }
  }

  private func change<Value: Sendable>(
    _ body: @escaping @Sendable (inout Transaction) async throws -> Value
  ) async throws -> Value {
    try await namespace.transact(ChangeParts(durable: isDurable), policy: .quorum, body).value
  }

  // MARK: What there is

  static let counters = ["one", "two"].map { text in
    guard let name = try? AttributeName("user.\(text)") else { preconditionFailure("a name") }
    return name
  }

  private static let names = (0..<3).map { index in
    guard let name = try? FileName("name\(index)") else { preconditionFailure("a name") }
    return name
  }
}

extension ClientOperation.Kind {
  /// The name that must be there, and the one that must not.
  fileprivate var needed: FileName? {
    switch self {
    case .remove(let name), .link(let name, _), .rename(let name, _), .mark(let name),
      .look(let name):
      name
    case .count, .create, .counters, .list: nil
    }
  }
  fileprivate var made: FileName? {
    switch self {
    case .create(let name), .link(_, let name): name
    default: nil
    }
  }

  static func random(_ random: inout SplitMix64, isHot: Bool) -> Self {
    let counters = ClientOperation.counters
    if isHot { return random.chance(40) ? .count([counters[0]]) : .counters }
    let name = random.pick(ClientOperation.names)
    let other = random.pick(ClientOperation.names)
    return switch random.below(100) {
    case ..<20: .count([random.pick(counters)])
    case ..<26: .count(counters)
    case ..<40: .create(name)
    case ..<48: .remove(name)
    case ..<54: .link(name, other)
    case ..<60: .rename(name, other)
    case ..<66: .mark(name)
    case ..<80: .look(name)
    case ..<92: .counters
    default: .list
    }
  }
}
