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

  /// The copies first, then the log, both beside the writer's line: it goes on meanwhile.
  private func flush() {
    line.withLock { $0.isFlushDue = false }
    copies.unsynced.sync(copies.unsynced.ids)
    submit(
      .exclusive { state, database in
        // A failure is remembered and logged where it happens; there is nobody to answer here.
        guard (try? database.get()) != nil, !state.isSyncing else { return }
        // Those that came meanwhile.
        self.copies.unsynced.sync(Array(state.named))
        state.named = []
        CrashPoint.reached(.namedSynced)
        state.isSyncing = true
        let commits = state.commits
        self.queue.submit { self.syncBeside(commits) }
      })
  }

  /// Brings the log to stable storage, as far as `commits`; then what is left to do is done in the line.
  private func syncBeside(_ commits: UInt64) {
    let result = Result { () throws(DFSError) in
      try handle.use { database in Result { () throws(DFSError) in try database.syncLogBeside() } }
    }
    submit(
      .exclusive { state, database in
        state.isSyncing = false
        switch result {
        case .failure: return
        case .success(.failure(let error)): return self.fail(error)
        case .success(.success): CrashPoint.reached(.logSynced)
        }
        if state.commits == commits { state.isDirty = false }
        guard let database = try? database.get() else { return }
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
