internal import DFSCore
internal import DFSSystem
internal import Dispatch
internal import GRDB
internal import Synchronization

/// Bringing to stable storage what was acknowledged without it, within a second.
extension Writer {
  /// Bytes of the write-ahead log after which it is moved into the database.
  static let checkpointBytes = 4 << 20

  /// A flush will be made after the time that the options say.
  func flushSoon() {
    let isFirst = line.withLock { line in
      defer { line.isFlushDue = true }
      return !line.isFlushDue
    }
    guard isFirst else { return }
    let delay = DispatchTimeInterval.milliseconds(options.flushMilliseconds)
    DispatchQueue.global().asyncAfter(deadline: .now() + delay) {
      self.queue.submit { self.flush() }
    }
  }

  /// The copies first, then the log, both in the background: the writer goes on meanwhile.
  private func flush() {
    line.withLock { $0.isFlushDue = false }
    copies.unsynced.sync(copies.unsynced.ids)
    submit(
      .exclusive { state, database in
        // A failure is remembered and logged where it happens; there is nobody to answer here.
        guard let database = try? database.get(), !state.isSyncing else { return }
        guard state.isDirty else {
          try? self.moveLog(&state, database)
          return
        }
        // Those that came meanwhile.
        self.copies.unsynced.sync(Array(state.named))
        state.named = []
        CrashPoint.reached(.namedSynced)
        state.isSyncing = true
        let generation = state.ledger?.generation
        self.queue.submit { self.syncInBackground(generation) }
      })
  }

  /// Brings the log to stable storage; then the writer does what is left.
  /// - Parameter generation: of the last commit before.
  private func syncInBackground(_ generation: UInt64?) {
    let isSynced = try? handle.use { database in
      do throws(DFSError) {
        try database.syncLogInBackground()
      } catch {
        fail(error)
        return false
      }
      CrashPoint.reached(.logSynced)
      return true
    }
    submit(
      .exclusive { state, database in
        state.isSyncing = false
        guard isSynced == true, let database = try? database.get() else { return }
        if state.ledger?.generation == generation { state.isDirty = false }
        try? self.moveLog(&state, database)
        if state.isDirty { self.flushSoon() }
      })
  }

  /// Brings everything to stable storage, then moves a long log into the database.
  func flush(_ state: inout WriterState, _ database: NamespaceDatabase) throws {
    try syncCommits(&state, database)
    try moveLog(&state, database)
  }

  /// Moves a long log into the database.
  private func moveLog(_ state: inout WriterState, _ database: NamespaceDatabase) throws {
    guard state.logBytes > Self.checkpointBytes else { return }
    try guarding(&state) { state in
      let isWhole = try database.pool.writeWithoutTransaction { try database.checkpoint($0) }
      CrashPoint.reached(.logMoved)
      if isWhole { state.logBytes = 0 }
    }
    if state.logBytes > Self.checkpointBytes { flushSoon() }
  }
}
