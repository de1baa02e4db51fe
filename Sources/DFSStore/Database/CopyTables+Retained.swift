internal import DFSCore
internal import GRDB

/// Small copies that are kept for other servers, for a while.
extension CopyTables {
  /// How long small copies are kept for other servers, at the least, once their change is known to
  /// be committed.
  static let retainedSeconds: Int64 = 3600

  /// Keeps a small copy that another server is asked for: should the change be taken up by a client
  /// that has only its rows, this server can still give all that they name.
  func retain(_ part: InlinePart, number: UInt64, nowSeconds: Int64) throws {
    try db.perform(
      "INSERT OR REPLACE INTO escrow VALUES (?, ?, ?, ?, ?, ?)", part.id.version.stored,
      part.id.part.stored, .bits(number), .number(nowSeconds), .bits(part.checksum.value),
      .bytes(part.bytes))
  }

  static func retained(_ id: PartID, _ db: Database) throws -> InlinePart? {
    try db.first(
      "SELECT checksum, bytes FROM escrow WHERE version = ? AND part = ?", id.version.stored,
      id.part.stored
    ) { InlinePart(id: id, bytes: $0.bytes(1), checksum: BlockChecksum(try $0.number(0))) }
  }

  /// Forgets what nobody can need any more, as the servers have had time to be brought their copies.
  /// - Parameter committedLong: up to this number every change has been known for so long to be on
  ///   three servers; a server that was away meanwhile did not know.
  /// - Returns: how many copies, `limit` at the most.
  func trimRetained(committedLong: UInt64, nowSeconds: Int64, limit: Int) throws -> Int {
    try db.perform(
      """
      DELETE FROM escrow WHERE rowid IN (
        SELECT rowid FROM escrow WHERE since < ?2 AND number <= ?1
        UNION ALL SELECT rowid FROM escrow WHERE since > ?3 AND number <= ?1
        LIMIT ?4)
      """,
      .bits(committedLong), .number(nowSeconds - Self.retainedSeconds), .number(nowSeconds),
      .number(Int64(limit)))
    return db.changesCount
  }

  /// Forgets the copies of a content that nobody can need any more, as it was replaced, and this
  /// server's own copies of it are removed. So what is kept is bounded by the files that there are.
  /// - Parameter committed: every change up to this number is known to be on three servers.
  func trimRetained(of version: VersionID, committed: UInt64) throws {
    try db.perform(
      """
      DELETE FROM escrow WHERE version = ?1 AND number <= ?2
        AND NOT EXISTS (SELECT 1 FROM inode WHERE inode.version = ?1)
        AND NOT EXISTS (SELECT 1 FROM garbage WHERE garbage.version = ?1)
      """,
      version.stored, .bits(committed))
  }

  static func hasRetained(_ db: Database) throws -> Bool {
    try db.hasRow("SELECT 1 FROM escrow LIMIT 1")
  }
}
