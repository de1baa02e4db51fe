internal import DFSCore
internal import DFSReplication
internal import DFSSystem
internal import GRDB
internal import Logging
internal import Synchronization

/// Removing what is no longer needed: copies that no row asks for any more, and those that no change
/// ever asked for; and noticing copies that are asked for and are not here.
///
/// Invariants:
/// - All removing is done by the writer, between two transactions: no change can ask for a copy
///   while it is removed.
/// - Before a copy is removed, the change that let go of it is known to be committed (a later change
///   was accepted) and is on stable storage here, with the copies that it asks for (`CopyRelease`).
/// - A copy that no row asks for is removed only by a server whose rows are current: one that was
///   refilled, restored or left behind may lack the change that asks for it.
/// - Files go first, then the row that lists them: a crash in between removes them again.
extension UserStore {
  /// Copies that are removed while the writer's line stands still.
  private static let batch = 64
  /// Rows of a list that are looked at together.
  private static let page = 1024

  /// Whether a pass may find something; idle users' databases are not opened for nothing.
  var needsCollection: Bool {
    guard failure == nil, handle.isExamined else { return false }
    return needsSweep || writer.hasUnreferenced.load(ordering: .relaxed) || sessions.hasUnclaimed
  }

  /// What the server does from time to time.
  func collectAndSweep() async throws {
    let now = WallClock.seconds
    try await collect(nowSeconds: now)
    guard needsSweep else { return }
    // Before copies that no row seems to ask for are removed. The first time it was just examined.
    if lastSweep.withLock({ $0 }) != nil { try await checkRows() }
    try await sweep(nowSeconds: now)
    let (kept, options) = (KeptRows(copies.directory), options)
    try await queues.query.run { try kept.trim(nowSeconds: now, options) }
    lastSweep.withLock { $0 = .now }
  }

  private var needsSweep: Bool {
    guard let last = lastSweep.withLock({ $0 }) else { return true }
    return last.duration(to: .now) > Self.sweepInterval
  }

  private static let sweepInterval = Duration.seconds(24 * 60 * 60)

  /// One pass. `now` is in seconds since 1970.
  func collect(nowSeconds now: Int64) async throws {
    if writer.hasUnreferenced.load(ordering: .relaxed) {
      try await flush()
      try await removeUnreferenced(now)
      try await trimRetained(now)
      try await noteUnreferenced()
    }
    try await removeOrphans(sessions.unclaimed(completedBefore: orphanLimit))
  }

  /// A copy is an orphan only if it was complete, for as long as the options say, when the last
  /// change was accepted: until then these rows may lack the change that names it.
  private var orphanLimit: Int64 {
    writer.lastAppendSeconds.load(ordering: .relaxed) - options.keepOrphansSeconds
  }

  /// Looks through the list beside the writer, which then removes what was found, a batch at a time.
  private func removeUnreferenced(_ now: Int64) async throws {
    let (required, grace) = (copies.required, options.keepReplacedSeconds)
    let transferred = now - options.keepTransferredSeconds
    var last: PartID?
    repeat {
      let after = last
      let (due, isClockBack) = try await read { db in
        let tables = CopyTables(db: db, required: required)
        return (
          try tables.unreferenced(
            after: after, committed: try Ledger.load(db).committed, sinceSeconds: now - grace,
            transferredSeconds: transferred,
            limit: Self.page),
          try after == nil && tables.hasUnreferenced(laterThan: now)
        )
      }
      if isClockBack { try await change { try $0.correctClock(nowSeconds: now) } }
      for start in stride(from: 0, to: due.count, by: Self.batch) {
        try await remove(due[start..<min(start + Self.batch, due.count)], now)
      }
      last = due.count == Self.page ? due.last : nil
    } while last != nil
  }

  /// Removes those of the copies that may go.
  private func remove(_ found: ArraySlice<PartID>, _ now: Int64) async throws {
    let (copies, held, writer, options) = (copies, sessions.held, writer, options)
    try await writer.exclusive { state, database in
      try writer.syncCommits(&state, database)
      let committed = state.ledger?.committed ?? 0
      try writer.write(&state, database) { db in
        let tables = CopyTables(db: db, required: copies.required)
        // All commits were brought to stable storage before.
        let ids = try found.filter { id in
          guard let release = try tables.unreferenced(id) else { return false }
          return release.mayRemove(
            committed: committed, durable: .max, isHeld: held.contains(id.version),
            nowSeconds: now,
            graceSeconds: release.isTransferred
              ? options.keepTransferredSeconds : options.keepReplacedSeconds)
        }
        guard !ids.isEmpty else { return }
        try copies.remove(ids)
        CrashPoint.reached(.unreferencedRemoved)
        try db.transaction {
          for id in ids { try tables.forget(id) }
          for version in Set(ids.map(\.version)) {
            try tables.trimRetained(of: version, committed: committed)
          }
          return true
        }
        CrashPoint.reached(.unreferencedForgotten)
      }
    }
  }

  /// Small copies that were kept for other servers long enough.
  private func trimRetained(_ now: Int64) async throws {
    let writer = writer
    let long = try await writer.exclusive { state, _ in
      state.committed.note(
        state.ledger?.committed ?? 0, nowSeconds: now, age: CopyTables.retainedSeconds)
    }
    while try await change({
      try $0.trimRetained(committedLong: long, nowSeconds: now, limit: Self.page)
    }) == Self.page {}
  }

  /// Notes whether anything is left for another pass.
  private func noteUnreferenced() async throws {
    let writer = writer
    try await writer.exclusive { _, database in
      let isLeft = try database.pool.snapshot {
        try CopyTables.hasUnreferenced($0) || CopyTables.hasRetained($0)
      }
      writer.hasUnreferenced.store(isLeft, ordering: .relaxed)
    }
  }

  /// Removes those of the copies that no row asks for, that are not unreferenced, that no living session
  /// uploaded, and that no reader holds (rows that were all replaced at once may never have asked
  /// for a version that others have open).
  private func removeOrphans(_ ids: [PartID]) async throws {
    let (copies, sessions, writer) = (copies, sessions, writer)
    for start in stride(from: 0, to: ids.count, by: Self.batch) {
      let some = ids[start..<min(start + Self.batch, ids.count)]
      try await writer.exclusive { _, database in
        let unclaimed = try database.pool.snapshot { db in
          let tables = CopyTables(db: db, required: copies.required)
          return try some.filter { try !tables.isAsked($0) && !tables.isUnreferenced($0) }
        }
        sessions.asked(Set(some).subtracting(unclaimed))
        let held = sessions.held
        for id in unclaimed where !held.contains(id.version) && sessions.forgetOrphan(id) {
          try copies.remove([id])
          CrashPoint.reached(.orphanRemoved)
        }
      }
    }
  }

  // MARK: Sweep

  /// Walks over all copies: counts them, removes those that an earlier process was left with and
  /// that no change asked for as long as the options say, and notices those that are lost.
  func sweep(nowSeconds now: Int64) async throws {
    let copies = copies
    var bytes: UInt64 = 0
    for prefix in UInt8.min ... .max {
      let files = try await queues.query.run { try copies.files(inFolder: [prefix].hexadecimal) }
      bytes += files.reduce(0) { $0 + $1.bytes }
      let limit = min(orphanLimit, now)
      try await removeOrphans(files.filter { $0.modifiedSeconds <= limit }.map(\.id))
      _ = try await audit(prefix)
    }
    copies.setCount(bytes)
  }

  /// Notices the copies that rows ask for and that are not here, among the versions that begin with
  /// this byte.
  /// - Returns: how many were not known to be lost.
  func audit(_ prefix: UInt8) async throws -> Int {
    let copies = copies
    let lost = try await change { tables in
      try tables.audit(versions: .beginning(with: prefix)) { copies.exists($0) }
    }
    guard lost > 0 else { return 0 }
    writer.hasMissing.store(true, ordering: .relaxed)
    logger.error("copies are gone that were here, or should be", metadata: ["copies": "\(lost)"])
    return lost
  }

  /// Changes the tables of copies, in a transaction of its own that need not survive a loss of power.
  func change<Value: Sendable>(
    _ body: @escaping @Sendable (CopyTables) throws -> Value
  ) async throws -> Value {
    let (copies, writer) = (copies, writer)
    return try await writer.exclusive { state, database in
      try writer.write(&state, database) { db in
        var value: Value?
        try db.transaction {
          value = try body(CopyTables(db: db, required: copies.required))
          return true
        }
        guard let value else { throw DFSError(.inputOutput, "a transaction gave no answer") }
        return value
      }
    }
  }
}
