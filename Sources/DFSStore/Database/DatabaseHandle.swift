internal import DFSCore
internal import DFSSystem
internal import Synchronization

/// A user's database, opened when it is used and closed when many others are.
///
/// Invariants:
/// - It is closed only while nobody uses it.
/// - It is not opened before it was examined, nor if it is not as it was closed.
final class DatabaseHandle: Sendable {
  typealias Closed = @Sendable (Result<Void, any Error>) -> Void

  /// What the database is known to hold while it is closed.
  private enum Knowledge {
    case none
    case examined(Ledger?)
  }

  private struct State {
    var database: NamespaceDatabase?
    var knowledge = Knowledge.none
    var uses = 0
    /// The server stops: nobody may begin to use it.
    var isShut = false
    var lastUse = ContinuousClock.now
    /// Is told when the last user has closed the database.
    var closed: Closed?

    /// Closes the database, which nobody uses. If that fails it stays open: SQLite would move and
    /// remove the log when the last connection ends, and the mark would not know.
    mutating func close() -> Result<Void, any Error> {
      guard let database else { return .success(()) }
      return Result {
        knowledge = .examined(try database.close())
        self.database = nil
      }
    }
  }

  let directory: String
  private let opened: @Sendable () -> Void
  private let state = Mutex(State())

  /// - Parameter opened: called each time after the database was opened.
  init(directory: String, opened: @escaping @Sendable () -> Void) {
    self.directory = directory
    self.opened = opened
  }

  var path: String { "\(directory)/\(NamespaceDatabase.fileName)" }
  var isOpen: Bool { state.withLock { $0.database != nil } }
  var isExamined: Bool {
    state.withLock { if case .examined = $0.knowledge { true } else { false } }
  }
  var lastUse: ContinuousClock.Instant { state.withLock { $0.lastUse } }

  /// Reads the whole database, before its first use. On a thread that may block, for long.
  /// - Throws: `damaged` if it is.
  func examine(progress: @escaping DatabaseCheck.Progress) throws(DFSError) {
    let ledger = try DatabaseExamination.examine(directory, progress: progress)
    // Nobody knows any more which copies the last process had yet to bring to stable storage before
    // the changes that name them.
    if case .open = try DatabaseMark.read(directory) {
      try Disk.syncFileSystem(of: directory)
    }
    state.withLock { $0.knowledge = .examined(ledger) }
  }

  /// Runs `body` with the open database. On a thread that may block.
  func use<Value>(_ body: (NamespaceDatabase) throws -> Value) throws(DFSError) -> Value {
    let database = try acquire()
    defer { release() }
    do {
      return try body(database)
    } catch {
      throw .database(error, path)
    }
  }

  private func release() {
    let (tell, result) = state.withLock { state -> (Closed?, Result<Void, any Error>) in
      state.uses -= 1
      state.lastUse = .now
      guard state.isShut, state.uses == 0 else { return (nil, .success(())) }
      return (state.closed, state.close())
    }
    tell?(result)
  }

  private func acquire() throws(DFSError) -> NamespaceDatabase {
    let result = state.withLock { state -> Result<(NamespaceDatabase, Bool), DFSError> in
      guard !state.isShut else {
        return .failure(DFSError(.cancelled, "the server stops"))
      }
      if let database = state.database {
        state.uses += 1
        return .success((database, false))
      }
      return Result { () throws(DFSError) in
        guard case .examined(let ledger) = state.knowledge else {
          throw DFSError(
            .inputOutput, "the database \(path) was not examined; start the server again")
        }
        let database = try NamespaceDatabase(directory: directory, known: ledger)
        state.database = database
        state.uses += 1
        return (database, true)
      }
    }
    let (database, isNew) = try result.get()
    if isNew { opened() }
    return database
  }

  /// Closes the database if it is open and nobody uses it.
  func closeIfIdle() throws {
    try state.withLock { $0.uses == 0 ? $0.close() : .success(()) }.get()
  }

  /// Ends the use of the database for good: nobody begins to use it any more, and `closed` is
  /// called when its last user has left and it is closed. On a thread that may block.
  func shut(_ closed: @escaping Closed) {
    let result = state.withLock { state -> Result<Void, any Error>? in
      state.isShut = true
      if state.uses == 0 { return state.close() }
      state.closed = closed
      return nil
    }
    if let result { closed(result) }
  }
}
