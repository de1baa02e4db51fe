package import DFSCore
internal import DFSReplication
package import GRDB

/// Which copies the rows ask of this server, which of those it lacks (`wanted`), which of those that
/// it has nobody asks for any more (`garbage`), and the small copies that are kept in the database
/// (`part`).
///
/// Invariants:
/// - A copy is in `garbage` only while no inode asks for it, in `wanted` only while one does: with that one.
/// - A copy that an inode asks for and that is not here, or is damaged, is in `wanted`: from the transaction that
///   asked on, or from when its loss was noticed.
package struct CopyTables {
  let db: Database
  let required: RequiredReplicas

  /// Whether a row asks this server for the copy.
  func isAsked(_ id: PartID) throws -> Bool { try asking(id) != nil }

  /// The inode that asks this server for the copy.
  func asking(_ id: PartID) throws -> InodeID? {
    let text =
      "SELECT id, \"change\", version, copies, value, checksum FROM inode WHERE version = ?"
    var asking: InodeID?
    try db.forEachWhile(text, id.version.stored) { row in
      let inode = InodeID(try row.number(0))
      let content = try row.inode(inode, at: 1).value.content
      if required.copies(of: content).contains(id) { asking = inode }
      return asking == nil
    }
    return asking
  }

  func isUnreferenced(_ id: PartID) throws -> Bool {
    try db.hasRow(
      "SELECT 1 FROM garbage WHERE version = ? AND part = ?", id.version.stored, id.part.stored)
  }

  /// After an inode's content became another, by change `number`.
  /// - Parameter isHere: whether a copy is here; asked only about those that are new.
  func changed(
    _ inode: InodeID, from old: RowContent?, to new: RowContent?, number: UInt64,
    nowSeconds: Int64, isTransfer: Bool = false, isHere: (PartID) throws -> Bool
  ) throws {
    let difference = required.difference(from: old, to: new)
    for id in difference.added {
      try forgetUnreferenced(id)
      if try !isHere(id) { try want(id, for: inode) }
    }
    for id in difference.dropped {
      if let other = try asking(id) {
        try handOver(id, to: other)
        continue
      }
      try forgetMissing(id)
      let release = CopyRelease(
        number: number, sinceSeconds: nowSeconds, isTransferred: isTransfer)
      try addUnreferenced(id, release)
    }
  }

  // MARK: Missing

  /// - Returns: whether it was not missing before.
  @discardableResult
  func want(_ id: PartID, for inode: InodeID) throws -> Bool {
    try db.perform(
      "INSERT OR IGNORE INTO wanted VALUES (?, ?, ?, ?)", id.version.stored, id.part.stored,
      .bits(inode.value), .number(Self.checksum(id, inode)))
    return db.changesCount > 0
  }

  /// A copy that is missing for an inode that has another content by now is missing for one that asks for it:
  /// several inodes have one content where that of a file was kept beside it.
  private func handOver(_ id: PartID, to inode: InodeID) throws {
    try db.perform(
      """
      UPDATE wanted SET inode = ?, checksum = ? WHERE version = ? AND part = ?
        AND inode NOT IN (SELECT id FROM inode WHERE version = ?)
      """, .bits(inode.value), .number(Self.checksum(id, inode)), id.version.stored,
      id.part.stored, id.version.stored)
  }

  func forgetMissing(_ id: PartID) throws {
    try db.perform(
      "DELETE FROM wanted WHERE version = ? AND part = ?", id.version.stored, id.part.stored)
  }

  /// Up to `limit` of the copies that are missing, in order, after one, without those of `excluded`.
  func missing(after id: PartID?, limit: Int, except excluded: Set<PartID>) throws -> [MissingCopy]
  {
    let text = """
      SELECT w.version, w.part, w.inode, w.checksum, i.copies
        FROM wanted w JOIN inode i ON i.id = w.inode
        WHERE (w.version, w.part) > (?, ?) ORDER BY w.version, w.part
      """
    let (version, part) = Self.place(after: id)
    var copies: [MissingCopy] = []
    try db.forEachWhile(text, version, part) { row in
      guard copies.count < limit else { return false }
      let (id, inode) = try Self.missing(row)
      if excluded.contains(id) { return true }
      let content = RowContent(version: id.version, copies: try row.copies(4))
      copies.append(MissingCopy(id: id, inode: inode, content: content))
      return true
    }
    return copies
  }

  /// What all copies after one are greater than.
  private static func place(after id: PartID?) -> (SQLValue, SQLValue) {
    id.map { ($0.version.stored, $0.part.stored) } ?? (.bytes([]), .number(0))
  }

  static func hasMissing(_ db: Database) throws -> Bool {
    try db.hasRow("SELECT 1 FROM wanted LIMIT 1")
  }

  func missingCount() throws -> UInt64 {
    try db.first("SELECT count(*) FROM wanted") { try $0.number(0) } ?? 0
  }

  /// The bytes of the copies that are missing, as the rows of their inodes tell; what is no row of an
  /// inode, but was written blindly, tells nothing.
  func missingBytes() throws -> UInt64 {
    let text = """
      SELECT w.part, i.id, i."change", i.version, i.copies, i.value, i.checksum
        FROM wanted w JOIN inode i ON i.id = w.inode
      """
    var bytes: UInt64 = 0
    try db.forEach(text) { row in
      let id = InodeID(try row.number(1))
      guard let part = PartIndex(checking: Int(try row.integer(0)) - 1),
        let content = try? Inode(id: id, row: try row.inode(id, at: 2).value.bytes).content
      else { return }
      bytes = min(Limits.storeBytes, bytes + content.split.length(of: part))
    }
    return bytes
  }

  /// Counts of the files that have a content, by `RowContent.copies`.
  func placementCounts() throws -> [UInt32: UInt64] {
    let text =
      "SELECT copies, count(*) FROM inode WHERE version IS NOT NULL GROUP BY copies LIMIT 65536"
    var counts: [UInt32: UInt64] = [:]
    try db.forEach(text) { counts[try $0.copies(0)] = try $0.number(1) }
    return counts
  }

  /// Every copy that is asked for and is in none of the two tables and not here is missing.
  /// - Returns: how many those were.
  func audit(versions: ClosedRange<VersionID>, isHere: (PartID) throws -> Bool) throws -> Int {
    let text = "SELECT id, version, copies FROM inode WHERE version BETWEEN ? AND ?"
    var count = 0
    try db.forEach(text, versions.lowerBound.stored, versions.upperBound.stored) { row in
      guard let content = try row.content(1) else { return }
      for id in required.copies(of: content) where try !isHere(id) && !hasPart(id) {
        let inode = InodeID(try row.number(0))
        if try want(id, for: inode) { count += 1 } else { try handOver(id, to: inode) }
      }
    }
    return count
  }

  // MARK: Unreferenced

  func forgetUnreferenced(_ id: PartID) throws {
    try db.perform(
      "DELETE FROM garbage WHERE version = ? AND part = ?", id.version.stored, id.part.stored)
  }

  private func addUnreferenced(_ id: PartID, _ release: CopyRelease) throws {
    try db.perform(
      "INSERT OR IGNORE INTO garbage VALUES (?, ?, ?, ?, ?)", id.version.stored, id.part.stored,
      .bits(release.number), .number(release.storedSince), .number(Self.checksum(id, release)))
  }

  /// Copies, in order, that were let go of by change `committed` or before, and not later than
  /// `sinceSeconds`, or `transferredSeconds` if all rows were replaced then.
  func unreferenced(
    after last: PartID?, committed: UInt64, sinceSeconds: Int64, transferredSeconds: Int64,
    limit: Int
  ) throws -> [PartID] {
    let text = """
      SELECT version, part, number, since, checksum FROM garbage
        WHERE (version, part) > (?, ?) AND number <= ?
          AND (since BETWEEN 0 AND ? OR since BETWEEN ? AND -1)
        ORDER BY version, part LIMIT ?
      """
    let (version, part) = Self.place(after: last)
    var copies: [PartID] = []
    try db.forEach(
      text, version, part, .bits(committed), .number(sinceSeconds), .number(-transferredSeconds),
      .number(Int64(limit))
    ) { copies.append(try Self.unreferenced($0).0) }
    return copies
  }

  /// When a copy was let go of; nil if it was not.
  func unreferenced(_ id: PartID) throws -> CopyRelease? {
    try db.first(
      "SELECT version, part, number, since, checksum FROM garbage WHERE version = ? AND part = ?",
      id.version.stored, id.part.stored
    ) { try Self.unreferenced($0).1 }
  }

  func hasUnreferenced(laterThan seconds: Int64) throws -> Bool {
    try db.hasRow("SELECT 1 FROM garbage WHERE abs(since) > ? LIMIT 1", .number(seconds))
  }

  /// A clock that was set back does not keep unreferenced copies for ever.
  func correctClock(nowSeconds: Int64) throws {
    try amendUnreferenced(where: "abs(since) > ?", nowSeconds) {
      CopyRelease(
        number: $0.number, sinceSeconds: nowSeconds, isTransferred: $0.isTransferred)
    }
  }

  /// After all rows were replaced: what waits to be removed, and they do not ask for, waits for change
  /// `number` at the most.
  func limitUnreferenced(number: UInt64) throws {
    try amendUnreferenced(where: "number > ?", number.stored) {
      CopyRelease(
        number: number, sinceSeconds: $0.sinceSeconds, isTransferred: $0.isTransferred)
    }
  }

  private func amendUnreferenced(
    where condition: String, _ limit: Int64, _ amend: (CopyRelease) -> CopyRelease
  ) throws {
    let text = "SELECT version, part, number, since, checksum FROM garbage WHERE \(condition)"
    var all: [(PartID, CopyRelease)] = []
    try db.forEach(text, .number(limit)) { all.append(try Self.unreferenced($0)) }
    for (id, release) in all {
      try forgetUnreferenced(id)
      try addUnreferenced(id, amend(release))
    }
  }

  static func hasUnreferenced(_ db: Database) throws -> Bool {
    try db.hasRow("SELECT 1 FROM garbage LIMIT 1")
  }

  /// Forgets a copy that nobody asks for, and its bytes if they are here.
  func forget(_ id: PartID) throws {
    try forgetPart(id)
    try forgetUnreferenced(id)
  }

  // MARK: Small copies

  func put(_ part: InlinePart) throws {
    try db.perform(
      "INSERT OR REPLACE INTO part VALUES (?, ?, ?, ?)", part.id.version.stored,
      part.id.part.stored, .bits(part.checksum.value), .bytes(part.bytes))
  }

  package func part(_ id: PartID) throws -> InlinePart? { try Self.part(id, db) }

  /// Whether a small copy is here.
  func hasPart(_ id: PartID) throws -> Bool {
    try db.hasRow(
      "SELECT 1 FROM part WHERE version = ? AND part = ?", id.version.stored, id.part.stored)
  }

  package static func part(_ id: PartID, _ db: Database) throws -> InlinePart? {
    try db.first(
      "SELECT checksum, bytes FROM part WHERE version = ? AND part = ?", id.version.stored,
      id.part.stored
    ) { InlinePart(id: id, bytes: $0.bytes(1), checksum: BlockChecksum(try $0.number(0))) }
  }

  /// The small copies among these versions whose bytes are not what was stored.
  func damagedParts(versions: ClosedRange<VersionID>) throws -> [PartID] {
    let text = "SELECT version, part, checksum, bytes FROM part WHERE version BETWEEN ? AND ?"
    var bad: [PartID] = []
    try db.forEach(text, versions.lowerBound.stored, versions.upperBound.stored) { row in
      guard let id = try row.partID(0) else { return }
      if BlockChecksum.of(row.bytes(3)).value != (try row.number(2)) { bad.append(id) }
    }
    return bad
  }

  func forgetPart(_ id: PartID) throws {
    try db.perform(
      "DELETE FROM part WHERE version = ? AND part = ?", id.version.stored, id.part.stored)
  }

  func parts(of version: VersionID) throws -> [PartIndex] {
    var parts: [PartIndex] = []
    try db.forEach("SELECT part FROM part WHERE version = ? ORDER BY part", version.stored) { row in
      if let part = PartIndex(checking: Int(try row.integer(0)) - 1) { parts.append(part) }
    }
    return parts
  }
}

/// The rows of `garbage` and `wanted`, each against its checksum.
extension CopyTables {
  fileprivate static func checksum(_ id: PartID, _ release: CopyRelease) -> Int64 {
    let since = UInt64(stored: release.storedSince)
    return RowChecksum.of([UInt64(id.part.number), release.number, since], id.version.bytes)
  }

  fileprivate static func checksum(_ id: PartID, _ inode: InodeID) -> Int64 {
    RowChecksum.of([UInt64(id.part.number), inode.value], id.version.bytes)
  }

  fileprivate static func unreferenced(_ row: SQLRow) throws -> (PartID, CopyRelease) {
    let release = CopyRelease(number: try row.number(2), storedSince: try row.integer(3))
    guard let id = try row.partID(0), try row.integer(4) == checksum(id, release) else {
      throw DFSError(.damaged, "an entry of unreferenced does not match its checksum")
    }
    return (id, release)
  }

  /// - Parameter row: version, part, inode, checksum.
  fileprivate static func missing(_ row: SQLRow) throws -> (PartID, InodeID) {
    let inode = InodeID(try row.number(2))
    guard let id = try row.partID(0), try row.integer(3) == checksum(id, inode) else {
      throw DFSError(.damaged, "an entry of missing does not match its checksum")
    }
    return (id, inode)
  }

  /// Reads both tables.
  /// - Throws: `damaged` if an entry is not what was written.
  static func check(_ db: Database) throws {
    try db.forEach("SELECT version, part, number, since, checksum FROM garbage") {
      _ = try unreferenced($0)
    }
    try db.forEach("SELECT version, part, inode, checksum FROM wanted") { _ = try missing($0) }
  }
}

extension CopyRelease {
  /// Negative if all rows were replaced then.
  fileprivate var storedSince: Int64 { isTransferred ? -sinceSeconds : sinceSeconds }

  fileprivate init(number: UInt64, storedSince: Int64) {
    let isTransferred = storedSince < 0
    self.init(
      number: number, sinceSeconds: isTransferred ? 0 &- storedSince : storedSince,
      isTransferred: isTransferred)
  }
}

extension PartIndex {
  /// The number of the part.
  var stored: SQLValue { .number(Int64(number)) }
}

extension SQLRow {
  /// A copy whose version and part are at columns `start` and the next.
  func partID(_ start: Int) throws -> PartID? {
    guard let version = try version(start),
      let number = Int(exactly: try integer(start + 1)), (1...Limits.partCount).contains(number),
      let part = PartIndex(checking: number - 1)
    else { return nil }
    return PartID(version: version, part: part)
  }

  /// Where the copies of a content belong: a number of 32 bits.
  func copies(_ column: Int) throws -> UInt32 {
    guard let copies = UInt32(exactly: try number(column)) else {
      throw DFSError(.damaged, "column \(column) of a row of the database is out of range")
    }
    return copies
  }

  /// A content whose version and copies are at columns `start` and the next.
  func content(_ start: Int) throws -> RowContent? {
    try version(start).map { RowContent(version: $0, copies: try copies(start + 1)) }
  }
}
