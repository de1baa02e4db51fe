internal import DFSClient
internal import DFSCore
internal import DFSSystem
internal import DFSTestSupport

/// One thing that a program does, and what it is told.
struct ClientOperation: Sendable {
  /// A name in the root, or in a directory of the root.
  struct Place: Sendable {
    var directory: FileName?
    let name: FileName
  }

  enum Kind: Sendable {
    /// Appends the operation's token to what each of these attributes of the root has: a lost update is seen.
    case count([AttributeName])
    case create(Place)
    case remove(Place)
    case link(Place, Place)
    case rename(Place, Place)
    /// Makes the token the group of the file.
    case mark(Place)
    case makeDirectory(FileName)
    case removeDirectory(FileName)
    case renameDirectory(FileName, FileName)
    /// Writes a content, which makes the file if there is none; what others wrote meanwhile is kept, or not.
    case publish(Place, isLarge: Bool, keepsOthers: Bool)
    /// Opens a file, and after a pause writes some cells of it as a layer.
    case patch(Place, keepsOthers: Bool)
    /// Writes more of a file that was kept open since it was written last.
    case patchAgain(Place, Inode, keepsOthers: Bool)
    /// Has a file made one content again.
    case settle(Place)
    /// Opens a file and reads all of it, with pauses.
    case read(Place)
    case look(Place)
    /// Reads, and perhaps writes, under locks.
    case section(Section)
    case counters
    case list

    var isChange: Bool {
      switch self {
      case .look, .read, .counters, .list, .settle, .section: false
      default: true
      }
    }

    var brief: String {
      if case .section(let section) = self { return section.brief }
      guard case .patchAgain(let place, let inode, let keepsOthers) = self else { return "\(self)" }
      let version = inode.version?.brief ?? "nothing"
      return "patchAgain(\(place), inode \(inode.id), \(version), keepsOthers: \(keepsOthers))"
    }

    var isSection: Bool { if case .section = self { true } else { false } }

    /// Whether it makes a version.
    var isPublish: Bool {
      switch self {
      case .publish, .patch, .patchAgain: true
      default: false
      }
    }

    /// Whether what it is told is so when three servers take a change.
    var isDecidedByChange: Bool {
      isChange && !isPublish
    }
  }

  enum Outcome: Sendable {
    case counted
    /// The entry, and the inode that it leads to.
    case created(RowKey, InodeID)
    case removed(RowKey, InodeID)
    /// A name leads to an inode that was there.
    case named(RowKey, InodeID)
    case marked(InodeID)
    case published(InodeID, RowContent)
    /// The file as it is now, whose version stays pinned.
    case patched(Inode)
    /// A file was settled, as far as it was told.
    case settled(InodeID)
    /// What was done under locks is noted elsewhere (`LockedSections`).
    case underLocks
    /// What a name leads to, and the content that it has.
    case read(RowKey, Inode, CellVector)
    /// The content of a file is none that anybody wrote, or not the one that its row names.
    case misread(RowKey, String)
    /// What a name leads to.
    case saw(RowKey, Inode?)
    /// Refused, since the name leads to something.
    case exists(RowKey)
    /// Refused, since a directory has entries.
    case notEmpty(InodeID)
    case sawCounters([AttributeName: [UInt8]])
    case sawList([FileName: Inode])
    /// It did not happen.
    case failed(DFSError)
    case unknown

    var brief: String {
      switch self {
      case .counted: "counted"
      case .created(let key, let id): "created \(key.brief), inode \(id)"
      case .removed(let key, let id): "removed \(key.brief), inode \(id)"
      case .named(let key, let id): "\(key.brief) is inode \(id)"
      case .notEmpty(let id): "directory \(id) is not empty"
      case .marked(let id): "marked inode \(id)"
      case .published(let id, let content): "published \(content.version.brief), inode \(id)"
      case .patched(let inode):
        "patched inode \(inode.id) to \(inode.version?.brief ?? "nothing")"
      case .settled(let id): "inode \(id) is settled"
      case .underLocks: "done under locks"
      case .read(let key, let inode, let vector):
        "read \(key.brief), inode \(inode.id), \(inode.version?.brief ?? "nothing"): \(vector.cells)"
      case .misread(let key, let problem): "misread \(key.brief): \(problem)"
      case .saw(let key, let inode):
        "saw \(key.brief), \(inode.map { "inode \($0.id)" } ?? "nothing")"
      case .exists(let key): "\(key.brief) exists"
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
      case .counted, .created, .removed, .named, .marked, .published, .patched: true
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
  let program: ClientID
  let client: DFSClient
  let environment: any Environment
  let notes: OperationNotes
  /// Readers wait until servers hold what they read.
  let awaitsPins: Bool
  let files: LockedFiles
  let sections: LockedSections

  var namespace: Namespace { client.namespace }

  func run() async -> Outcome {
    do {
      return try await attempt()
    } catch let error as DFSError {
      switch (error.code, kind.needed, kind.made) {
      case (.notFound, let key?, _): return .saw(key, nil)
      case (.exists, _, let key?): return .exists(key)
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
      return try await change { transaction in
        let all = try await transaction.attributes(.root)
        for name in names {
          transaction.putAttribute(.root, name, (all[name] ?? []) + token.bigEndianBytes)
        }
        return .counted
      }
    case .create(let place):
      let new = NewInode(kind: .regular, mode: 0o644, owner: UInt32(token), group: 0)
      return try await change(in: place) { key, parent, transaction in
        .created(key, try await transaction.create(parent, place.name, new).id)
      }
    case .remove(let place):
      return try await change(in: place) { key, parent, transaction in
        .removed(key, try await transaction.unlink(parent, place.name).id)
      }
    case .link(let place, let other): return try await link(place, other)
    case .rename(let place, let other): return try await rename(place, other)
    case .mark(let place):
      return try await change(in: place) { _, parent, transaction in
        let inode = try await transaction.existingChild(parent, place.name)
        var change = AttributeChange()
        change.group = UInt32(token)
        return .marked(try await transaction.setAttributes(inode.id, change).id)
      }
    case .makeDirectory, .removeDirectory, .renameDirectory: return try await changeDirectory()
    case .publish(let place, let isLarge, let keepsOthers):
      return try await publish(place, isLarge: isLarge, keepsOthers: keepsOthers)
    case .patch(let place, let keepsOthers): return try await patch(place, keepsOthers)
    case .patchAgain(let place, let inode, let keepsOthers):
      return try await patchAgain(place, inode, keepsOthers)
    case .settle(let place): return try await settle(place)
    case .read(let place): return try await read(place)
    case .section(let section): return try await perform(section)
    case .look(let place): return try await look(place)
    case .counters: return .sawCounters(try await namespace.attributes(.root, .current))
    case .list:
      let items = try await namespace.list(.root, .current)
      return .sawList(Dictionary(items.map { ($0.name, $0.inode) }) { $1 })
    }
  }

  private func link(_ place: Place, _ other: Place) async throws -> Outcome {
    try await change(in: place) { _, parent, transaction in
      guard let (key, to) = try await other.entry(in: &transaction) else {
        return other.noDirectory
      }
      let inode = try await transaction.existingChild(parent, place.name)
      return .named(key, try await transaction.link(inode.id, to: to, other.name).id)
    }
  }

  private func rename(_ place: Place, _ other: Place) async throws -> Outcome {
    try await change(in: place) { _, parent, transaction in
      guard let (key, to) = try await other.entry(in: &transaction) else {
        return other.noDirectory
      }
      let renamed = try await transaction.rename(parent, place.name, to: to, other.name, .replace)
      // Of two names of one inode both stay.
      let isDone = renamed.other?.id != renamed.moved.id
      return isDone ? .named(key, renamed.moved.id) : .exists(key)
    }
  }

  private func changeDirectory() async throws -> Outcome {
    try await change { transaction in
      switch kind {
      case .makeDirectory(let name):
        let new = NewInode(kind: .directory, mode: 0o755, owner: UInt32(token), group: 0)
        let made = try await transaction.create(.root, name, new)
        return .created(.entry(parent: .root, name: name), made.id)
      case .removeDirectory(let name):
        let key = RowKey.entry(parent: .root, name: name)
        let directory = try await transaction.existingChild(.root, name)
        guard try await transaction.isEmpty(directory.id) else { return .notEmpty(directory.id) }
        return .removed(key, try await transaction.removeDirectory(.root, name).id)
      case .renameDirectory(let name, let other):
        let key = RowKey.entry(parent: .root, name: other)
        if let old = try await transaction.child(.root, other) {
          guard try await transaction.isEmpty(old.id) else { return .notEmpty(old.id) }
        }
        let renamed = try await transaction.rename(.root, name, to: .root, other, .replace)
        return name == other ? .exists(key) : .named(key, renamed.moved.id)
      default: preconditionFailure("\(kind) changes no directory")
      }
    }
  }

  private func look(_ place: Place) async throws -> Outcome {
    guard let parent = try await directory(of: place) else { return place.noDirectory }
    let key = RowKey.entry(parent: parent, name: place.name)
    do {
      return .saw(key, try await namespace.lookup(parent, place.name, .current))
    } catch let error as DFSError where error.code == .notFound {
      return .saw(key, nil)
    }
  }

  /// Changes something in the directory of a place, if that is there.
  private func change(
    in place: Place,
    _ body:
      @escaping @Sendable (RowKey, InodeID, inout Transaction) async throws -> Outcome
  ) async throws -> Outcome {
    try await change { transaction in
      guard let (key, parent) = try await place.entry(in: &transaction) else {
        return place.noDirectory
      }
      return try await body(key, parent, &transaction)
    }
  }

  private func change(
    _ body: @escaping @Sendable (inout Transaction) async throws -> Outcome
  ) async throws -> Outcome {
    try await namespace.transact(ChangeParts(durable: isDurable), policy: .quorum, body).value
  }

  // MARK: What there is

  static let counters = ["one", "two"].map { text in
    guard let name = try? AttributeName("user.\(text)") else { preconditionFailure("a name") }
    return name
  }

  static let names = fileNames("name", 3)
  static let directories = fileNames("directory", 2)

  static func fileNames(_ text: String, _ count: Int) -> [FileName] {
    (0..<count).map { index in
      guard let name = try? FileName("\(text)\(index)") else { preconditionFailure("a name") }
      return name
    }
  }
}

extension ClientOperation.Place {
  /// The entry and its directory; nil if there is no such directory.
  fileprivate func entry(
    in transaction: inout Transaction
  ) async throws -> (key: RowKey, parent: InodeID)? {
    guard let directory else { return (.entry(parent: .root, name: name), .root) }
    guard let inode = try await transaction.child(.root, directory) else { return nil }
    return (.entry(parent: inode.id, name: name), inode.id)
  }

  var noDirectory: ClientOperation.Outcome {
    .saw(.entry(parent: .root, name: directory ?? name), nil)
  }

  /// The entry that an error of the transaction is about: only in the root it is known which.
  fileprivate var rootEntry: RowKey? {
    directory == nil ? .entry(parent: .root, name: name) : nil
  }

  static func random(_ random: inout SplitMix64) -> Self {
    let directory = random.chance(40) ? random.pick(ClientOperation.directories) : nil
    return Self(directory: directory, name: random.pick(ClientOperation.names))
  }
}

extension ClientOperation.Kind {
  /// The entry that must be there, and the one that must not.
  fileprivate var needed: RowKey? {
    switch self {
    case .remove(let place), .mark(let place): place.rootEntry
    case .link(let place, let other), .rename(let place, let other):
      other.directory == nil ? place.rootEntry : nil
    case .removeDirectory(let name), .renameDirectory(let name, _):
      .entry(parent: .root, name: name)
    default: nil
    }
  }
  fileprivate var made: RowKey? {
    switch self {
    case .create(let place): place.rootEntry
    case .link(let place, let other): place.directory == nil ? other.rootEntry : nil
    case .makeDirectory(let name): .entry(parent: .root, name: name)
    default: nil
    }
  }
}
