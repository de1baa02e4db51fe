internal import DFSCore
internal import GRDB
internal import Logging
internal import Synchronization

/// What the writer knows besides the database. Touched only by the writer's thread of the moment.
struct WriterState: Sendable {
  /// nil until the database was read.
  var ledger: Ledger?
  /// There are commits that are not on stable storage yet.
  var isDirty = false
  /// Commits are being brought to stable storage in the background.
  var isSyncing = false
  /// Copies that those commits name and that are not on stable storage yet.
  var named: Set<PartID> = []
  /// What `committed` of the ledger was, for what is kept for other servers.
  var committed = CommittedHistory()
  /// About how many bytes of the write-ahead log were written since the last checkpoint.
  var logBytes = 0
}

/// The one writer of a user's database: takes all requests that wait, performs them in one
/// transaction, answers after the commit.
///
/// Invariants:
/// - Requests are performed in the order in which they were submitted, one at a time.
/// - No commit reaches stable storage before the copies that it names: while the log is brought there in
///   the background, what is committed has its copies there before.
/// - After a failed fsync of the log nothing is acknowledged any more until the server is started
///   again and has read what is really there.
final class Writer: Sendable {
  typealias Completion = @Sendable (Result<NamespaceReply, DFSError>) -> Void
  typealias Exclusive = @Sendable (inout WriterState, Result<NamespaceDatabase, DFSError>) -> Void

  enum Work: Sendable {
    case request(NamespaceJob, Completion)
    case exclusive(Exclusive)
  }

  struct Line {
    var waiting: [Work] = []
    var isRunning = false
    var isFlushDue = false
    var isClosed = false
  }

  /// Requests of one transaction.
  private static let batchRequests = 256

  let handle: DatabaseHandle
  let copies: PartStore
  let sessions: Sessions
  let publisher = HeadPublisher()
  let options: StoreOptions
  let queue: WorkQueue
  let logger: Logger
  /// There may be versions that no row names any more.
  let hasUnreferenced = Atomic(false)
  /// There may be copies that rows ask for and that are not here.
  let hasMissing = Atomic(false)
  /// When the last change was accepted, in seconds since 1970; 0 if none was since the start.
  let lastAppendSeconds = Atomic<Int64>(0)
  let line = Mutex(Line())
  private let state = Mutex(WriterState())

  init(
    handle: DatabaseHandle, copies: PartStore, sessions: Sessions, options: StoreOptions,
    queue: WorkQueue, logger: Logger
  ) {
    self.handle = handle
    self.copies = copies
    self.sessions = sessions
    self.options = options
    self.queue = queue
    self.logger = logger
  }

  // MARK: The line

  func submit(_ work: Work) {
    let starts = line.withLock { line in
      line.waiting.append(work)
      defer { line.isRunning = true }
      return !line.isRunning
    }
    if starts { queue.submit { self.turn() } }
  }

  /// Runs `body` alone, between transactions.
  func exclusive<Value: Sendable>(
    _ body: @escaping @Sendable (inout WriterState, NamespaceDatabase) throws -> Value
  ) async throws -> Value {
    let path = handle.path
    return try await withCheckedThrowingContinuation { continuation in
      submit(
        .exclusive { state, database in
          let result = Result { try body(&state, try database.get()) }
          continuation.resume(with: result.mapError { DFSError.database($0, path) })
        })
    }
  }

  /// Performs what waits, then leaves the thread to other users.
  private func turn() {
    state.withLock { state in perform(takeBatch(), &state) }
    let goesOn = line.withLock { line in
      line.isRunning = !line.waiting.isEmpty
      return line.isRunning
    }
    if goesOn { queue.submit { self.turn() } }
  }

  /// One exclusive piece of work, or the requests up to the next one.
  private func takeBatch() -> [Work] {
    line.withLock { line in
      var count = 0
      for work in line.waiting.prefix(Self.batchRequests) {
        if case .exclusive = work { break }
        count += 1
      }
      let batch = Array(line.waiting.prefix(max(1, count)))
      line.waiting.removeFirst(batch.count)
      return batch
    }
  }

  private func perform(_ batch: [Work], _ state: inout WriterState) {
    if case .exclusive(let body) = batch.first { return run(body, &state) }
    var jobs: [NamespaceJob] = []
    var completions: [Completion] = []
    for case .request(let job, let completion) in batch {
      jobs.append(job)
      completions.append(completion)
    }
    let results: [Result<NamespaceReply, DFSError>]
    do {
      results = try commit(jobs, &state)
    } catch {
      results = jobs.map { _ in .failure(error) }
    }
    for (completion, result) in zip(completions, results) { completion(result) }
  }

  private func run(_ body: Exclusive, _ state: inout WriterState) {
    do {
      try handle.use { database in
        try prepare(database, &state)
        body(&state, .success(database))
      }
    } catch {
      // What an fsync failed on is not opened again by this process.
      if NamespaceDatabase.isAbandoned(handle.path) { fail(error) }
      body(&state, .failure(publisher.failure ?? error))
    }
  }

  /// Reads the state when it is first needed.
  func prepare(_ database: NamespaceDatabase, _ state: inout WriterState) throws {
    if let failure = publisher.failure { throw failure }
    guard state.ledger == nil else { return }
    let ledger = try guarding(&state) { _ in
      try database.pool.snapshot { db in
        var ledger = try Ledger.load(db)
        ledger.logBytes = try ChangeLog.bytes(db)
        let isLeft = try CopyTables.hasUnreferenced(db) || CopyTables.hasRetained(db)
        hasUnreferenced.store(isLeft, ordering: .relaxed)
        hasMissing.store(try CopyTables.hasMissing(db), ordering: .relaxed)
        return ledger
      }
    }
    state.ledger = ledger
    publisher.publish([], ledger)
  }
}
