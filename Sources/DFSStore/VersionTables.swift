internal import DFSCore
internal import GRDB

/// Which versions the rows name, which they name no longer (`garbage`), and the small copies that
/// are kept in the database (`part`).
///
/// Invariant: a version is in `garbage` only while no inode names it.
enum VersionTables {
  static func isNamed(_ version: VersionID, _ db: Database) throws -> Bool {
    let statement = try db.cachedStatement(
      sql: "SELECT 1 FROM inode WHERE version = ? LIMIT 1")
    return try Int.fetchOne(statement, arguments: [version.stored]) != nil
  }

  static func isGarbage(_ version: VersionID, _ db: Database) throws -> Bool {
    let statement = try db.cachedStatement(sql: "SELECT 1 FROM garbage WHERE version = ?")
    return try Int.fetchOne(statement, arguments: [version.stored]) != nil
  }

  /// After a write that took `old` from an inode and gave it `new`.
  static func replaced(
    _ old: VersionID?, by new: VersionID?, number: UInt64, nowSeconds: Int64, _ db: Database
  ) throws {
    guard old != new else { return }
    if let new {
      try db.cachedStatement(sql: "DELETE FROM garbage WHERE version = ?")
        .execute(arguments: [new.stored])
    }
    if let old, try !isNamed(old, db) {
      try db.cachedStatement(sql: "INSERT OR IGNORE INTO garbage VALUES (?, ?, ?)")
        .execute(arguments: [old.stored, number.stored, nowSeconds])
    }
  }

  /// Versions that were let go of at `seconds` or before by a change up to `number`, the oldest
  /// first, without `held`.
  static func garbage(
    since seconds: Int64, number: UInt64, except held: Set<VersionID>, limit: Int, _ db: Database
  ) throws -> [VersionID] {
    let statement = try db.cachedStatement(
      sql: "SELECT version FROM garbage WHERE since <= ? AND number <= ? ORDER BY since")
    var versions: [VersionID] = []
    let rows = try GRDB.Row.fetchCursor(statement, arguments: [seconds, number.stored])
    while versions.count < limit, let row = try rows.next() {
      guard let version = try row.version(0), !held.contains(version) else { continue }
      versions.append(version)
    }
    return versions
  }

  /// A clock that was set back does not keep garbage for ever.
  static func correctClock(nowSeconds: Int64, _ db: Database) throws {
    try db.cachedStatement(sql: "UPDATE garbage SET since = ? WHERE since > ?")
      .execute(arguments: [nowSeconds, nowSeconds])
  }

  static func hasGarbage(_ db: Database) throws -> Bool {
    try Int.fetchOne(db, sql: "SELECT 1 FROM garbage LIMIT 1") != nil
  }

  /// Forgets a version and its small copies.
  static func forget(_ version: VersionID, _ db: Database) throws {
    try db.cachedStatement(sql: "DELETE FROM part WHERE version = ?")
      .execute(arguments: [version.stored])
    try db.cachedStatement(sql: "DELETE FROM garbage WHERE version = ?")
      .execute(arguments: [version.stored])
  }

  // MARK: Small copies

  static func put(_ part: InlinePart, _ db: Database) throws {
    try db.cachedStatement(sql: "INSERT OR REPLACE INTO part VALUES (?, ?, ?, ?)").execute(
      arguments: [
        part.id.version.stored, part.id.part.number, part.checksum.value.stored, part.bytes.stored,
      ])
  }

  static func part(_ id: PartID, _ db: Database) throws -> InlinePart? {
    let statement = try db.cachedStatement(
      sql: "SELECT checksum, bytes FROM part WHERE version = ? AND part = ?")
    let row = try GRDB.Row.fetchOne(statement, arguments: [id.version.stored, id.part.number])
    return try row.map {
      InlinePart(id: id, bytes: try $0.bytes(1), checksum: BlockChecksum(try $0.number(0)))
    }
  }

  static func parts(of version: VersionID, _ db: Database) throws -> [PartIndex] {
    let statement = try db.cachedStatement(
      sql: "SELECT part FROM part WHERE version = ? ORDER BY part")
    return try Int.fetchAll(statement, arguments: [version.stored]).compactMap {
      PartIndex(checking: $0 - 1)
    }
  }
}
