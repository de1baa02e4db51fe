internal import DFSCore
internal import GRDB
internal import Synchronization

/// Removing what is no longer needed: versions that no row names any more, and copies that no
/// change ever named.
///
/// Invariants:
/// - All removing is done by the writer, between two transactions: no change can name a version
///   while its copies are removed.
/// - Before a version is removed, the change that replaced it is known to be committed (a later
///   change was accepted) and is on stable storage here, with the copies that it names.
/// - A copy that no row names is removed only by a server whose rows are current: one that was
///   refilled, restored or left behind may lack the change that names it.
/// - Files go first, then the row that lists them: a crash in between removes them again.
extension UserStore {
  /// Versions that are removed while the writer's line stands still.
  private static let batch = 64

  /// Whether a pass may find something; idle users' databases are not opened for nothing.
  var needsCollection: Bool {
    needsSweep || writer.hasGarbage.load(ordering: .relaxed) || sessions.hasUnnamed
  }

  /// What the server does from time to time.
  func collectAndSweep() async throws {
    let now = WallClock.seconds
    try await collect(nowSeconds: now)
    guard needsSweep else { return }
    try await sweep(nowSeconds: now)
    lastSweep.withLock { $0 = .now }
  }

  private var needsSweep: Bool {
    guard let last = lastSweep.withLock({ $0 }) else { return true }
    return last.duration(to: .now) > Self.sweepInterval
  }

  private static let sweepInterval = Duration.seconds(24 * 60 * 60)

  /// One pass. `now` is in seconds since 1970.
  func collect(nowSeconds now: Int64) async throws {
    if writer.hasGarbage.load(ordering: .relaxed) {
      try await flush()
      while try await removeReplaced(before: now - options.keepReplacedSeconds, now) {}
    }
    try await removeOrphans(sessions.unnamed(completedBefore: orphanBound))
  }

  /// A copy is an orphan only if it was complete, for as long as the options say, when the last
  /// change was accepted: until then these rows may lack the change that names it.
  private var orphanBound: Int64 {
    writer.lastAppendSeconds.load(ordering: .relaxed) - options.keepOrphansSeconds
  }

  /// - Returns: whether there may be more.
  private func removeReplaced(before seconds: Int64, _ now: Int64) async throws -> Bool {
    let (copies, held, writer) = (copies, sessions.held, writer)
    return try await writer.exclusive { state, database in
      try writer.syncCommits(&state, database)
      let committed = state.ledger?.committed ?? 0
      return try writer.guarding(&state) { _ in
        try database.pool.writeWithoutTransaction { db in
          try database.setDurable(false, db)
          let versions = try VersionTables.garbage(
            since: seconds, number: committed, except: held, limit: Self.batch, db)
          for version in versions { try copies.remove(PartID.all(of: version)) }
          try db.inTransaction(.immediate) {
            try VersionTables.correctClock(nowSeconds: now, db)
            for version in versions { try VersionTables.forget(version, db) }
            return .commit
          }
          writer.hasGarbage.store(try VersionTables.hasGarbage(db), ordering: .relaxed)
          return versions.count == Self.batch
        }
      }
    }
  }

  /// Removes the copies of those versions that no row names, that are no garbage, and that no
  /// living session uploaded.
  private func removeOrphans(_ versions: [VersionID]) async throws {
    let (copies, sessions, writer) = (copies, sessions, writer)
    for start in stride(from: 0, to: versions.count, by: Self.batch) {
      let some = versions[start..<min(start + Self.batch, versions.count)]
      try await writer.exclusive { _, database in
        let unnamed = try database.pool.read { db in
          try some.filter { version in
            try !VersionTables.isNamed(version, db) && !VersionTables.isGarbage(version, db)
          }
        }
        sessions.named(Set(some).subtracting(unnamed))
        for version in unnamed where sessions.forgetOrphan(version) {
          try copies.remove(PartID.all(of: version))
        }
      }
    }
  }

  // MARK: Sweep

  /// Walks over all copies: counts them, and removes those that an earlier process was left with
  /// and that no change named for as long as the options say.
  func sweep(nowSeconds now: Int64) async throws {
    let copies = copies
    var bytes: UInt64 = 0
    for folder in try await queues.query.run({ try copies.folderNames() }) {
      let files = try await queues.query.run { try copies.files(inFolder: folder) }
      bytes += files.reduce(0) { $0 + $1.bytes }
      let bound = min(orphanBound, now)
      let old = files.filter { $0.modifiedSeconds <= bound }
      try await removeOrphans(Array(Set(old.map(\.id.version))))
    }
    copies.setCount(bytes)
  }
}

extension PartID {
  /// The four parts of a version.
  static func all(of version: VersionID) -> [PartID] {
    PartIndex.all.map { PartID(version: version, part: $0) }
  }
}
