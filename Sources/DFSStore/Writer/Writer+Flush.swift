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

  /// The copies first, outside of the writer's line, so that only what came meanwhile is left for
  /// the moment in which the line stands still.
  private func flush() {
    line.withLock { $0.isFlushDue = false }
    copies.unsynced.sync(copies.unsynced.ids)
    submit(
      .exclusive { state, database in
        // A failure is remembered and logged where it happens; there is nobody to answer here.
        guard let database = try? database.get() else { return }
        try? self.flush(&state, database)
      })
  }

  /// Brings everything to stable storage, then moves a long log into the database.
  func flush(_ state: inout WriterState, _ database: NamespaceDatabase) throws {
    try syncCommits(&state, database)
    guard state.logBytes > Self.checkpointBytes else { return }
    try guarding(&state) { state in
      let isWhole = try database.pool.writeWithoutTransaction { try database.checkpoint($0) }
      CrashPoint.reached(.logMoved)
      if isWhole { state.logBytes = 0 }
    }
    if state.logBytes > Self.checkpointBytes { flushSoon() }
  }
}
