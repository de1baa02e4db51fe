public import DFSCore
internal import DFSReplication
internal import DFSSystem
internal import GRDB
internal import Logging
internal import Synchronization

/// The threads of a server's store, shared by its users.
struct StoreQueues: Sendable {
  let bulk: WorkQueue
  let query: WorkQueue
  let writer: WorkQueue
  /// For whole databases: they take long, and the other users go on meanwhile.
  let examination: WorkQueue

  init(_ options: StoreOptions) {
    bulk = WorkQueue(width: options.bulkThreads)
    query = WorkQueue(width: options.queryThreads)
    writer = WorkQueue(width: options.writerThreads)
    examination = WorkQueue(width: 2)
  }

  private init(_ queues: StoreQueues, owner: UserName) {
    bulk = queues.bulk.owned(by: owner)
    query = queues.query.owned(by: owner)
    writer = queues.writer.owned(by: owner)
    examination = queues.examination.owned(by: owner)
  }

  /// The same threads, for the work of one user.
  func owned(by owner: UserName) -> StoreQueues { StoreQueues(self, owner: owner) }
}

/// One user's namespace and copies on this server. Everything below may be called from any thread;
/// what blocks runs on the store's own threads.
///
/// Invariants:
/// - Namespace requests are performed in the order in which `namespace` or `submit` was called.
/// - What is acknowledged as durable is on stable storage; the rest is there within a second.
public final class UserStore: Sendable {
  /// Whose namespace and copies they are.
  public let name: UserName
  let copies: PartStore
  let sessions = Sessions()
  let countedMissing = SparingCount()
  let scrubState = ScrubState()
  let writer: Writer
  let handle: DatabaseHandle
  let queues: StoreQueues
  let options: StoreOptions
  let logger: Logger
  /// When all copies were last walked over, if they were since the start.
  let lastSweep = Mutex<ContinuousClock.Instant?>(nil)
  let leaseList: LeaseList
  /// When the process began to use the directory.
  let begun: ContinuousClock.Instant
  /// Rows that were read so far while the database is examined.
  let examinedRows = RowCount()

  init(
    _ name: UserName, directory: String, begun: ContinuousClock.Instant = .now,
    required: RequiredReplicas, options: StoreOptions,
    queues: StoreQueues, openFiles: OpenPartFiles,
    logger: Logger, opened: @escaping @Sendable (UserName) -> Void
  ) {
    self.name = name
    self.begun = begun
    leaseList = LeaseList(directory: directory)
    self.options = options
    let queues = queues.owned(by: name)
    self.queues = queues
    var logger = logger
    logger[metadataKey: "user"] = "\(name)"
    self.logger = logger
    copies = PartStore(
      directory: directory, required: required, openFiles: openFiles, logger: logger)
    handle = DatabaseHandle(directory: directory) { opened(name) }
    writer = Writer(
      handle: handle, copies: copies, sessions: sessions, options: options, queue: queues.writer,
      logger: logger)
    copies.unsynced.observe { [weak self] id, error in
      Task { await self?.lost(id, because: error) }
    }
  }

  // MARK: Namespace

  /// Why nothing of this user is served any more; nil as long as it is.
  public var failure: DFSError? { writer.publisher.failure }

  /// The last committed head, from memory.
  public func head() -> Head { writer.publisher.head }

  /// Sets who is told of changes: synchronously, in order, after a change is committed and before
  /// `head()` or a query shows it. Keys nil: everything changed; no keys: only the view did. The author is the
  /// connection that brought the change; changes are numbered from 1 in each process.
  public func setCommitObserver(
    _ observer:
      @escaping @Sendable (_ keys: [RowKey]?, _ head: Head, _ author: UInt64?, _ number: UInt64) ->
      Void
  ) {
    writer.publisher.observe(observer)
  }

  /// Performs a step of the namespace protocol; see `submit`.
  public func namespace(
    _ request: NamespaceRequest, parts: [InlinePart], held: [PartID], durable: Bool,
    session: UInt64? = nil
  ) async throws -> NamespaceReply {
    try await withCheckedThrowingContinuation { continuation in
      submit(request, parts: parts, held: held, durable: durable, session: session) { result in
        continuation.resume(with: result.mapError { $0 as any Error })
      }
    }
  }

  /// Performs a step of the namespace protocol after all that were submitted before, and calls
  /// `completion` on a thread of the store. With `apply`, `parts` are stored with the change and
  /// `held` must be here; `durable` asks for stable storage before the answer. `session` is the connection that
  /// brings it.
  public func submit(
    _ request: NamespaceRequest, parts: [InlinePart], held: [PartID], durable: Bool,
    session: UInt64? = nil,
    completion: @escaping @Sendable (Result<NamespaceReply, DFSError>) -> Void
  ) {
    for part in parts {
      if let error = part.defect { return completion(.failure(error)) }
    }
    let job = NamespaceJob(
      request: request, parts: parts, held: held, isDurable: durable, session: session)
    let publisher = writer.publisher
    let shown: Writer.Completion = { result in
      publisher.reachedNow { reached in
        if case .failure(let error as DFSError) = reached { return completion(.failure(error)) }
        completion(result)
      }
    }
    writer.submit(.request(job, shown))
  }

  /// Answers all queries from one state; `head` is that of the state, and observers have been told
  /// of all its changes.
  public func query(_ queries: [Query]) async throws -> (answers: [QueryAnswer], head: Head) {
    try await withCheckedThrowingContinuation { turn in
      query(queries) { turn.resume(with: $0) }
    }
  }

  /// The same without a task.
  /// - Parameter completion: called once, perhaps on a thread of the store.
  public func query(
    _ queries: [Query],
    _ completion:
      @escaping @Sendable (Result<(answers: [QueryAnswer], head: Head), any Error>) -> Void
  ) {
    guard queries.count <= Limits.queries else {
      let text = "\(queries.count) queries at once; the limit is \(Limits.queries): ask in turns"
      return completion(.failure(DFSError(.invalidArgument, text)))
    }
    let publisher = writer.publisher
    read(
      { db in
        var reader = NamespaceQueries(db: db)
        return (try queries.map { try reader.answer($0) }, try Ledger.load(db))
      },
      { (result: Result<([QueryAnswer], Ledger), any Error>) in
        switch result {
        case .success((let answers, let ledger)):
          publisher.reached(ledger.generation) { reached in
            completion(reached.map { (answers, ledger.replica.head) })
          }
        case .failure(let error): completion(.failure(error))
        }
      })
  }

  /// Reads the database in one transaction; one that proves damaged is not used any more.
  func read<Value: Sendable>(
    _ body: @escaping @Sendable (Database) throws -> Value
  ) async throws -> Value {
    try await withCheckedThrowingContinuation { turn in
      read(body) { turn.resume(with: $0) }
    }
  }

  /// - Parameter completion: called once, on a thread of the store; must be quick.
  func read<Value: Sendable>(
    _ body: @escaping @Sendable (Database) throws -> Value,
    _ completion: @escaping @Sendable (Result<Value, any Error>) -> Void
  ) {
    let (handle, writer, life) = (handle, writer, SessionLife.current)
    queues.query.submit {
      let result = Result {
        try life?.check()
        if let failure = writer.publisher.failure { throw failure }
        return try handle.use { database in try database.pool.snapshot(body) }
      }
      if case .failure(let error as DFSError) = result, error.code == .damaged {
        writer.fail(error)
      }
      completion(result)
    }
  }

  /// Computes something that takes long on a thread of the store, in turn with the other users.
  /// - Parameter completion: called once, on that thread.
  public func compute<Value: Sendable>(
    _ body: @escaping @Sendable () -> Value, _ completion: @escaping @Sendable (Value) -> Void
  ) {
    queues.query.submit { completion(body()) }
  }

  // MARK: State transfer

  /// Begins to stage rows that are to replace all rows here.
  /// - Parameter own: of the rows here, those to begin with; nil: none.
  /// - Returns: nil if it may go on, else the answer.
  public func refillBegin(
    session: UInt64, _ view: View, own: OwnRows? = nil
  ) async throws -> NamespaceReply? {
    if let refusal = try await writer.refusalOfTransfer(view) { return try await shown(refusal) }
    let path = "\(copies.temporaryDirectory)/transfer.\(session).\(VersionID.random())"
    let stage = try await queues.query.run { try StagedState(path: path) }
    if let own, let behind = try await writer.stage(own, in: stage) {
      return try await shown(behind)
    }
    setStage(session, stage)
    return nil
  }

  /// Adds rows to the staged ones; one that comes again replaces the one before.
  /// - Throws: `protocolViolation` if the session has begun no transfer, `quotaExceeded` if the
  ///   staged rows are over the user's quota.
  public func refillRows(session: UInt64, _ rows: [DFSCore.Row]) async throws {
    let stage = try sessions.transfer(session)
    try requireRoom(forStaged: rows.reduce(0) { $0 + $1.approximateBytes })
    try await queues.query.run { try stage.add(rows) }
  }

  /// Performs changes on the staged rows: those that came while they were read.
  public func refillChanges(session: UInt64, _ entries: [LogEntry]) async throws {
    let stage = try sessions.transfer(session)
    let writes = entries.flatMap(\.change.writes)
    try requireRoom(
      forStaged: writes.reduce(0) { bytes, write in
        let row = write.value.map { Row(key: write.key, change: 0, value: $0) }
        return bytes + (row?.approximateBytes ?? 0)
      })
    try await queues.query.run { try stage.perform(entries) }
  }

  /// Installs `view`, which may be later than the one in which the transfer was begun, on the staged
  /// rows if they are those of `to`, else changes nothing.
  public func refillEnd(session: UInt64, _ view: View, to: Head) async throws -> NamespaceReply {
    let stage = try sessions.transfer(session)
    let reply: NamespaceReply
    do {
      reply = try await shown(writer.install(stage, view, to: to))
    } catch {
      setStage(session, nil)
      throw error
    }
    // Its client may lead a later view soon.
    if case .refused = reply { return reply }
    setStage(session, nil)
    return reply
  }

  /// An answer that tells the head, when that may be shown.
  private func shown(_ reply: NamespaceReply) async throws -> NamespaceReply {
    let publisher = writer.publisher
    try await withCheckedThrowingContinuation { turn in
      publisher.reachedNow { turn.resume(with: $0) }
    }
    return reply
  }

  private func setStage(_ session: UInt64, _ stage: StagedState?) {
    guard let superseded = sessions.stage(session, stage) else { return }
    queues.bulk.submit { superseded.discard() }
  }

  // MARK: Sessions

  /// Keeps the versions' copies until they are released or the session ends.
  public func pin(session: UInt64, _ versions: [VersionID]) { sessions.pin(session, versions) }

  /// Unpins versions once; a version that was pinned more often stays pinned.
  public func unpin(session: UInt64, _ versions: [VersionID]) {
    sessions.unpin(session, versions)
  }

  /// Ends what the session has under way: holds, uploads, a staged transfer.
  public func endSession(_ session: UInt64) {
    queues.bulk.submit(sessions.end(session))
  }

  // MARK: Opening and closing

  /// Makes the directory if needed, examines the database, opens it and reads its state.
  func open() async throws {
    let (copies, handle, rows) = (copies, handle, examinedRows)
    do {
      try await queues.examination.run {
        try Disk.makeDirectory(copies.directory)
        CrashPoint.reached(.userDirectoryMade)
        try copies.prepare()
        try handle.examine { rows.add($0) }
      }
    } catch let error as DFSError where error.code == .damaged {
      writer.fail(error)
      throw error
    }
    scrubState.remember(
      lastEndSeconds: try await queues.query.run { try copies.lastScrubSeconds() })
    try await writer.exclusive { _, _ in }
    try await awaitEndOfLeases()
    guard head() == .blank else { return }
    let hasCopies = try await queues.query.run { try !copies.folderNames().isEmpty }
    guard hasCopies else { return }
    logger.warning(
      "copies are here, but no rows: this server has no vote until a client has refilled it")
  }

  /// Brings everything that was acknowledged to stable storage.
  func flush() async throws {
    let (copies, writer) = (copies, writer)
    try await queues.bulk.run { _ = copies.unsynced.sync(copies.unsynced.ids) }
    try await writer.exclusive { state, database in try writer.flush(&state, database) }
  }

  /// Closes the database until it is used again, unless it is in use.
  func rest() async throws {
    try await flush()
    let handle = handle
    try await queues.query.run { try handle.closeIfIdle() }
  }

  /// Ends the use of this store for good.
  func close() async throws {
    try await flush()
    try await forgetLeases()
    let (handle, threads) = (handle, queues.query)
    try await withCheckedThrowingContinuation { (closed: CheckedContinuation<Void, any Error>) in
      threads.submit { handle.shut { closed.resume(with: $0) } }
    }
  }
}

extension InlinePart {
  /// What is wrong with it, if something is.
  fileprivate var defect: DFSError? {
    guard bytes.count <= Limits.inlinePartBytes else {
      return DFSError(
        .protocolViolation,
        "part \(id) has \(bytes.count) bytes; within a change the limit is \(Limits.inlinePartBytes)"
      )
    }
    guard BlockChecksum.of(bytes) == checksum else {
      return DFSError(.damaged, "part \(id) arrived damaged; send it again")
    }
    return nil
  }
}
