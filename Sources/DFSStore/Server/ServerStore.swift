public import DFSCore
internal import DFSReplication
internal import DFSSystem
internal import Dispatch
public import Logging
internal import Synchronization

/// A server's directory: its identity, its lock, and one `UserStore` for each user who is active.
///
/// Invariants:
/// - Nothing in a directory of another server, cluster or newer format is touched.
/// - At most one process uses a directory, and at most one `UserStore` a user's.
/// - A user's directory is `DIR/NAME`; our own files are in `DIR/.dfs`, where no user name leads.
public final class ServerStore: Sendable {
  private struct User {
    let store: UserStore
    let opening: Task<Void, any Error>
  }

  private struct State {
    var users: [UserName: User] = [:]
    var isClosed = false
    var isTrimming = false
  }

  private let known: Mutex<StoreIdentity>
  /// One at a time, and nobody else waits for the disk.
  private let joining = Mutex(())
  /// `DIR`, as it was given to `open`.
  public let directory: String
  let options: StoreOptions
  private let required: RequiredReplicas
  private let logger: Logger
  private let lock: DirectoryLock
  private let queues: StoreQueues
  private let openFiles = OpenPartFiles()
  /// When this process began to use the directory.
  private let begun = ContinuousClock.now
  private let state = Mutex(State())

  // MARK: Opening

  /// Opens the directory of server `name`, making it if there is none. Blocks.
  /// - Throws: `configuration` if it belongs to another server or cluster or has a newer format,
  ///   `busy` if another process has it; nothing was touched then.
  public static func open(
    directory: String, name: String, cluster: String, options: StoreOptions, logger: Logger
  ) throws -> ServerStore {
    guard let server = ServerIndex(name: name) else {
      throw DFSError(
        .configuration,
        "'\(name.printable)' is not a server of this system: DFS1, DFS2, DFS3 or DFS4")
    }
    do {
      return try open(
        directory, RequiredReplicas(server: server), StoreIdentity(newName: name, cluster: cluster),
        options,
        logger)
    } catch let error as DFSError
      where [.inputOutput, .noSpace, .quotaExceeded].contains(error.code)
    {
      throw DFSError(
        error.code,
        "\(directory) cannot be used: \(error); "
          + (error.code == .inputOutput ? "see to the disk" : "make room")
          + " and start the server again")
    }
  }

  private static func open(
    _ directory: String, _ required: RequiredReplicas, _ fresh: StoreIdentity,
    _ options: StoreOptions,
    _ logger: Logger
  ) throws -> ServerStore {
    let path = "\(directory)/.dfs/identity"
    func present() throws(DFSError) -> StoreIdentity? {
      let present = try StoreIdentity.read(path)
      try present?.check(name: fresh.name, cluster: fresh.cluster, directory: directory)
      return present
    }
    _ = try present()
    if !Disk.exists(path) { try refuseForeign(directory) }
    try makePath(directory)
    try Disk.makeDirectory("\(directory)/.dfs")
    let lock = try DirectoryLock("\(directory)/.dfs/lock", directory: directory)
    // Again, now that nobody else can be making it.
    let identity = try present()
    switch identity {
    case nil: try fresh.write(path)
    case let old? where !old.isCurrent: renew(old, path, logger)
    default: break
    }
    return ServerStore(directory, identity?.current ?? fresh, required, lock, options, logger)
  }

  /// An identity of an earlier release is written again as this one does. It is good as it is, too.
  private static func renew(_ identity: StoreIdentity, _ path: String, _ logger: Logger) {
    do {
      try identity.current.write(path)
    } catch {
      logger.warning(
        "the identity cannot be written in its new format; the next start tries again",
        metadata: ["error": "\(error)"])
    }
  }

  /// A directory without identity may be taken only if no directories are in it: those would be
  /// taken for users'.
  private static func refuseForeign(_ directory: String) throws(DFSError) {
    let foreign = (try Disk.names(in: directory) ?? []).filter { name in
      name != "lost+found" && !name.hasPrefix(".") && Disk.isDirectory("\(directory)/\(name)")
    }
    guard let first = foreign.first else { return }
    throw DFSError(
      .configuration,
      "\(directory) is not empty ('\(first.printable)') and has no identity of a server; name an empty "
        + "or new directory, or restore \(directory)/.dfs/identity")
  }

  private static func makePath(_ directory: String) throws(DFSError) {
    let parent = Disk.parent(of: directory)
    if !Disk.exists(parent), parent != directory { try makePath(parent) }
    try Disk.makeDirectory(directory)
  }

  private init(
    _ directory: String, _ identity: StoreIdentity, _ required: RequiredReplicas,
    _ lock: DirectoryLock,
    _ options: StoreOptions, _ logger: Logger
  ) {
    self.directory = directory
    known = Mutex(identity)
    self.required = required
    self.lock = lock
    self.options = options
    self.logger = logger
    queues = StoreQueues(options)
    collectLater()
  }

  // MARK: Identity

  /// Whose directory it is; with the cluster's identity once the server has joined one.
  public var identity: StoreIdentity { known.withLock { $0 } }

  /// Makes the server one of a cluster, for good and on stable storage. Blocks.
  /// - Throws: `configuration` if it is of another one.
  public func join(_ cluster: ClusterID) throws(DFSError) {
    try joining.withLock { _ throws(DFSError) in
      let identity = identity
      if let present = identity.clusterID, present != cluster {
        throw DFSError(
          .configuration,
          "\(identity.name) belongs to cluster \(present.brief) (\"\(identity.cluster.printable)\"), not to "
            + "\(cluster.brief); correct the Server line")
      }
      guard identity.clusterID == nil else { return }
      let joined = identity.joined(cluster)
      try joined.write("\(directory)/.dfs/identity")
      known.withLock { $0 = joined }
      logger.notice("\(identity.name) belongs to cluster \(cluster) from now on")
    }
  }

  // MARK: Users

  /// The store of a user; the first use makes the user's directory.
  /// - Throws: `damaged` if the user's database is, from then on until the server is started again;
  ///   `busy` if it is still being examined after `patience`.
  /// - Parameter client: who has connected anew, if that is why.
  public func user(
    _ name: UserName, client: ClientID? = nil, patience: Duration = .seconds(3600)
  ) async throws -> UserStore {
    let user = try begin(name)
    if let client { user.store.returned(client) }
    do {
      try await user.opening.value(within: patience) { StillExamined(store: user.store) }
      if let failure = user.store.failure { throw failure }
      return user.store
    } catch let waiting as StillExamined {
      throw waiting.error
    } catch {
      // A database that is damaged is not examined again and again.
      if user.store.failure == nil { forget(name, user.store) }
      throw error
    }
  }

  private struct StillExamined: Error {
    let store: UserStore

    var error: DFSError {
      if store.leaseList.isHolding {
        return DFSError(
          .busy,
          "this server has just started, and waits \(LeaseTerm.standard.granted) at the longest for mounts with read "
            + "leases of before; it serves \(store.name) then")
      }
      return DFSError(
        .busy,
        "the database \(store.handle.path) is still being examined, \(store.examinedRows.value) rows so "
          + "far; this server serves \(store.name) when it is through")
    }
  }

  private func begin(_ name: UserName) throws -> User {
    try state.withLock { state -> User in
      guard !state.isClosed else { throw DFSError(.cancelled, "the server stops") }
      if let user = state.users[name] { return user }
      let store = makeStore(name)
      let user = User(store: store, opening: Task { try await store.open() })
      state.users[name] = user
      return user
    }
  }

  /// Examines and opens what every user has here, so that damage is noticed before it is needed.
  public func openUsers() async {
    do {
      for name in try await names() where !state.withLock({ $0.isClosed }) {
        do {
          _ = try await user(name)
        } catch  where (error as? DFSError)?.code != .damaged {
          // (One that is damaged was logged.)
          logger.error(
            "a user cannot be served", metadata: ["user": "\(name)", "error": "\(error)"])
        } catch {}
      }
    } catch {
      logger.error("the users cannot be listed", metadata: ["error": "\(error)"])
    }
  }

  /// The users who have a directory here.
  private func names() async throws -> [UserName] {
    let directory = directory
    return try await queues.query.run { try Self.users(in: directory) }
  }

  static func users(in directory: String) throws(DFSError) -> [UserName] {
    (try Disk.names(in: directory) ?? []).sorted()
      .filter { Disk.isDirectory("\(directory)/\($0)") }
      .compactMap { try? UserName($0) }
  }

  private func makeStore(_ name: UserName) -> UserStore {
    UserStore(
      name, directory: "\(directory)/\(name)", begun: begun, required: required, options: options,
      queues: queues,
      openFiles: openFiles, logger: logger
    ) { [weak self] _ in self?.trimSoon() }
  }

  /// A store that could not be opened is tried anew at the next use.
  private func forget(_ name: UserName, _ store: UserStore) {
    state.withLock { state in
      if state.users[name]?.store === store { state.users[name] = nil }
    }
  }

  /// Databases that are open now.
  var openDatabaseCount: Int { stores.count(where: \.handle.isOpen) }

  private var stores: [UserStore] { state.withLock { $0.users.values.map(\.store) } }

  // MARK: In the background

  /// Closes the databases that were not used for the longest time, down to the limit.
  private func trimSoon() {
    guard openDatabaseCount > options.openDatabases else { return }
    guard state.withLock({ $0.isTrimming.exchange(true) == false }) else { return }
    Task {
      while await trim() {}
      state.withLock { $0.isTrimming = false }
    }
  }

  /// - Returns: whether some were closed and more are open than the limit says: others may have
  ///   been opened meanwhile. Where none could be closed, the next opening tries again.
  private func trim() async -> Bool {
    let open = stores.filter { $0.handle.isOpen && $0.failure == nil }
    let surplus = open.count - options.openDatabases
    guard surplus > 0 else { return false }
    let idle = open.sorted { $0.handle.lastUse < $1.handle.lastUse }.prefix(surplus)
    for store in idle {
      await attempt("closing an idle database", store) { try await store.rest() }
    }
    return idle.contains { !$0.handle.isOpen }
  }

  private func collectLater() {
    let delay = DispatchTimeInterval.seconds(options.collectSeconds)
    DispatchQueue.global().asyncAfter(deadline: .now() + delay) { [weak self] in
      guard let self, !self.state.withLock({ $0.isClosed }) else { return }
      Task {
        for store in self.stores where store.needsCollection {
          await self.attempt("collecting", store) { try await store.collectAndSweep() }
        }
        await self.scrubOne()
        self.collectLater()
      }
    }
  }

  /// Begins to read back the copies of one user whose turn it is, unless that is under way.
  private func scrubOne() async {
    guard !stores.contains(where: { $0.scrubReport.isRunning }) else { return }
    do {
      for name in try await names() {
        // One that cannot be opened was logged, and keeps none of the others from its turn.
        guard let store = try? await user(name), store.needsScrub(everyDays: options.scrubDays)
        else { continue }
        Task { await store.scrub(bytesPerSecond: options.scrubBytesPerSecond) }
        return
      }
    } catch {
      logger.error("no scrub could begin", metadata: ["error": "\(error)"])
    }
  }

  private func attempt(
    _ what: String, _ store: UserStore, _ body: @Sendable () async throws -> Void
  ) async {
    do {
      try await body()
    } catch {
      logger.error("\(what) failed", metadata: ["user": "\(store.name)", "error": "\(error)"])
    }
  }

  // MARK: Closing

  /// Brings everything to stable storage, closes the databases and lets go of the directory.
  public func close() async {
    let users = state.withLock { state -> [User] in
      state.isClosed = true
      return Array(state.users.values)
    }
    for user in users {
      // A store that never opened has nothing to bring anywhere; one that failed must not.
      guard (try? await user.opening.value) != nil, user.store.failure == nil else { continue }
      await attempt("closing", user.store) { try await user.store.close() }
    }
    lock.unlock()
  }
}

extension Bool {
  /// Sets a new value and returns the one before.
  fileprivate mutating func exchange(_ value: Bool) -> Bool {
    defer { self = value }
    return self
  }
}
