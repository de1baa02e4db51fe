public import DFSCore
internal import DFSStore
public import DFSSystem
internal import Glibc

/// Rebuilds a user's tree from servers' directories, with no server running: what is left when
/// nothing else of this software works.
///
/// Nothing in the directories is changed. Everything that is written was proven: rows by their
/// checksums and the digest of all, bytes by the checksums that the rows name.
public final class Rescue: Sendable {
  /// What to rebuild, where, and how far the tree is trusted.
  public struct Request: Sendable {
    /// Whose tree it is.
    public let user: UserName
    /// An empty directory, or one that is not there yet.
    public let output: String
    /// Whether files of which parts are missing are written, with zeros there.
    public let keepsPartial: Bool
    /// The owners, permission bits and devices that the tree may get.
    public let rights: OutputRights

    /// - Parameter privileged: whether the tree is trusted with set-user-ID bits and devices.
    public init(
      user: UserName, output: String, keepsPartial: Bool, privileged: Bool = false
    ) {
      self.user = user
      self.output = output
      self.keepsPartial = keepsPartial
      rights = OutputRights(privileged: privileged)
    }
  }

  /// How far `run` is, for another thread, which can also end it.
  public let progress = RescueProgress()
  private let directories: [OfflineDirectory]

  /// - Throws: `busy` if a server runs on one of them, `configuration` if they are not of one cluster.
  public init(directories paths: [String]) throws(DFSError) {
    var directories: [OfflineDirectory] = []
    for path in paths { directories.append(try OfflineDirectory(path)) }
    self.directories = directories
    let identities = directories.compactMap(\.identity)
    if let first = identities.first,
      let other = identities.first(where: { $0.cluster != first.cluster })
    {
      throw DFSError(
        .configuration,
        "\(first.name) is of cluster '\(first.cluster)', \(other.name) of '\(other.cluster)'; "
          + "name directories of one cluster")
    }
    let named = identities.filter { $0.clusterID != nil }
    if let first = named.first, let other = named.first(where: { $0.clusterID != first.clusterID })
    {
      throw DFSError(
        .configuration,
        "\(first.name) is of cluster \(first.clusterID?.brief ?? ""), \(other.name) of "
          + "\(other.clusterID?.brief ?? "") (\"\(first.cluster)\"); name directories of one cluster"
      )
    }
  }

  /// The users of whom there is something in the directories.
  public var users: [UserName] { Set(directories.flatMap(\.users)).sorted() }

  /// Rebuilds the tree. Blocks.
  /// - Parameter observe: told of what is not as it should be, on the thread of the caller.
  /// - Throws: what ends it all: no database, a full disk, an interruption. What could not be
  ///   rebuilt otherwise is observed and counted.
  public func run(
    _ request: Request, observe: @escaping (RescueEvent) -> Void
  ) throws -> RescueSummary {
    guard users.contains(request.user) else { throw unknown(request.user) }
    try refuseInside(request.output)
    let root = try OutputDirectory.root(request.output)
    let ledger = RescueLedger(observe)
    tellOfDirectories(request.user, ledger)
    let scratch = try ScratchDirectory()
    let users = try directories.enumerated().map { index, directory in
      try OfflineUser(
        request.user, in: directory, scratch: try scratch.makeDirectory("\(index)"),
        watching: progress)
    }
    ledger.summary.damagedDatabases = users.count(where: \.hasDamagedDatabase)
    let namespace = try OfflineNamespace.choose(from: users, scratch: scratch, note: ledger.note)
    ledger.summary.hasOwners = request.rights.setsOwners
    tellOfLimits(of: namespace, users, ledger)
    let census = try RescueCensus(namespace, progress)
    progress.begin(files: census.files, bytes: census.storedBytes)
    tellOfSpace(census, root, ledger)
    let content = RescueContent(
      users: users, keepsPartial: request.keepsPartial, progress: progress,
      note: ledger.noteCopy)
    do {
      try RescueTree(
        namespace, census, content: content, request.rights, ledger, progress
      ).build(in: root)
    } catch let error as DFSError where [.noSpace, .quotaExceeded].contains(error.code) {
      throw DFSError(
        error.code,
        "no room is left in \(root.path) after \(ledger.summary.bytes) of \(census.bytes) bytes; "
          + "empty it and make room, or name a larger place", cause: error)
    }
    return ledger.summary
  }

  private func unknown(_ user: UserName) -> DFSError {
    let list = users.map(\.text).joined(separator: ", ")
    return DFSError(
      .notFound,
      "nothing of user '\(user)' is in these directories"
        + (list.isEmpty ? ", nor of any other; are they servers' directories?" : "; of \(list)"))
  }

  /// The output must not be in one of the directories.
  private func refuseInside(_ output: String) throws(DFSError) {
    guard let place = Self.real(output) ?? Self.real(Disk.parent(of: output)) else { return }
    for directory in directories {
      guard let path = Self.real(directory.path), (place + "/").hasPrefix(path + "/") else {
        continue
      }
      throw DFSError(
        .configuration,
        "\(output.printable) is in \(path.printable), which is only read; name another place")
    }
  }

  private static func real(_ path: String) -> String? {
    ByteText.real(path)
  }

  // MARK: What is told beforehand

  private func tellOfDirectories(_ user: UserName, _ ledger: RescueLedger) {
    for directory in directories {
      if directory.identity == nil {
        ledger.note(
          "\(directory.title) has no readable identity; what is in it is verified all the same")
      }
      if !directory.users.contains(user) {
        ledger.note("\(directory.title) has nothing of \(user)")
      }
    }
  }

  private func tellOfLimits(
    of namespace: OfflineNamespace, _ users: [OfflineUser], _ ledger: RescueLedger
  ) {
    ledger.summary.isNamespaceWhole = namespace.isProven
    guard namespace.isProven, namespace.isBehind(users) else { return }
    ledger.summary.isNamespaceWhole = false
    ledger.note(
      "a damaged database had later changes than \(namespace.head.number), the last one of the "
        + "rows used; these are missing")
  }

  private func tellOfSpace(
    _ census: RescueCensus, _ root: OutputDirectory, _ ledger: RescueLedger
  ) {
    guard let space = try? Disk.space(at: root.path), space.available < census.storedBytes
    else { return }
    ledger.note(
      "\(root.path) has room for \(space.available) bytes and the files have \(census.storedBytes): "
        + "it will probably be full")
  }
}

extension OfflineUser {
  fileprivate var hasDamagedDatabase: Bool {
    switch names {
    case .absent: false
    case .unreadable: true
    case .opened(let database): !database.isProven
    }
  }
}
