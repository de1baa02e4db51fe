public import DFSCore
internal import DFSReplication
internal import GRDB
internal import Logging
internal import Synchronization

/// What a user's copies on this server lack, and who brings it.
extension UserStore {
  /// Up to `limit` copies that rows ask for and that are not here, in order, after one of them; and
  /// how many there are in all: where they are many, a moment ago. With `claims` the session is about
  /// to bring them: they are those that nobody claimed lately, and are left to it for a while.
  public func missing(
    session: UInt64, after: PartID?, limit: Int, claims: Bool
  ) async throws -> (copies: [MissingCopy], total: UInt64) {
    let (required, sessions, counted) = (copies.required, sessions, countedMissing)
    while true {
      let claimed = claims ? sessions.claimed : []
      let (missing, total) = try await read { db in
        let tables = CopyTables(db: db, required: required)
        let missing = try tables.missing(after: after, limit: limit, except: claimed)
        let areAll = after == nil && claimed.isEmpty && missing.count < limit
        return (
          missing,
          try areAll ? UInt64(missing.count) : counted.count { try tables.missingCount() }
        )
      }
      guard claims, !missing.isEmpty else { return (missing, total) }
      // Another session may have been faster: then those after them are looked for.
      let granted = sessions.claim(session, missing.map(\.id))
      if !granted.isEmpty { return (missing.filter { granted.contains($0.id) }, total) }
      guard sessions.isAlive(session) else { return ([], total) }
    }
  }

  /// A copy was found damaged or absent: if a row asks for it, it is missing from now on. A damaged
  /// one stays where it is until a good one takes its place: its other blocks may be the only good
  /// ones.
  func lost(_ id: PartID, because error: DFSError) async {
    // It is noted though the connection that found it has ended.
    await SessionLife.$current.withValue(nil) { await noteLoss(id, because: error) }
  }

  private func noteLoss(_ id: PartID, because error: DFSError) async {
    let copies = copies
    let isDamaged = error.code == .damaged
    do {
      let isNews = try await change { tables in
        guard let inode = try tables.asking(id) else { return false }
        if try !isDamaged && (copies.exists(id) || tables.part(id) != nil) { return false }
        return try tables.want(id, for: inode)
      }
      guard isNews else { return }
      writer.hasMissing.store(true, ordering: .relaxed)
      logger.error(
        isDamaged ? "a copy is damaged" : "a copy is gone",
        metadata: ["part": "\(id)", "file": "\(copies.path(of: id))", "error": "\(error)"])
    } catch {
      logger.error(
        "a lost copy could not be noted", metadata: ["part": "\(id)", "error": "\(error)"])
    }
  }

  /// A good copy has come, as a file: it is missing no more, nor is a small one in the database. Nor
  /// is it unreferenced from an earlier time: whoever brought it is about to have it asked for, and until
  /// then it is theirs (`Sessions`).
  func found(_ id: PartID) async throws {
    // Until it is missing no more it stays claimed, so that nobody else brings it too.
    defer { sessions.unclaim(id) }
    let (required, hasMissing) = (copies.required, writer.hasMissing.load(ordering: .relaxed))
    if !hasMissing {
      guard writer.hasUnreferenced.load(ordering: .relaxed),
        try await read({ try CopyTables(db: $0, required: required).isUnreferenced(id) })
      else { return }
    }
    try await change { tables in
      try tables.forgetMissing(id)
      try tables.forgetPart(id)
      try tables.forgetUnreferenced(id)
    }
  }

  /// The counts of this user's copies here.
  public func health() async throws -> HealthReport {
    let (required, copies, scrub) = (copies.required, copies, scrubState.report)
    let damaged = try await queues.query.run { try copies.damagedCount() }
    let space = try await space()
    let shown = head()
    return try await read { db in
      let tables = CopyTables(db: db, required: required)
      var report = HealthReport(head: shown)
      let counts = try tables.placementCounts()
      report.placements = counts
      report.missing = try tables.missingCount()
      report.missingBytes = try tables.missingBytes()
      let asked = counts.reduce(UInt64(0)) { sum, count in
        let content = RowContent(version: VersionID(high: 0, low: 0), copies: count.key)
        return sum + count.value * UInt64(required.copies(of: content).count)
      }
      report.copies = asked - min(asked, report.missing)
      report.damaged = damaged
      report.scrub = scrub
      report.space = space
      return report
    }
  }
}
