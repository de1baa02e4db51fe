package import DFSCore
package import GRDB

/// Reading and writing single rows, whatever their kind.
///
/// Invariant: each row is stored with a checksum of itself and verified when it is read, so that a
/// flipped bit of the database is never answered.
package enum RowTables {
  package static func row(_ key: RowKey, _ db: Database) throws -> DFSCore.Row? {
    switch key {
    case .inode(let id):
      try db.first(
        "SELECT \"change\", version, copies, value, checksum FROM inode WHERE id = ?",
        .bits(id.value)
      ) { try $0.inode(id, at: 0) }
    case .entry(let parent, let name):
      try db.first(
        "SELECT \"change\", child, value, checksum FROM entry WHERE parent = ? AND name = ?",
        .bits(parent.value), .bytes(name.bytes)
      ) { try $0.entry(parent, name, at: 0) }
    case .attribute(let id, let name):
      try db.first(
        "SELECT \"change\", value, checksum FROM attribute WHERE inode = ? AND name = ?",
        .bits(id.value), .bytes(name.bytes)
      ) { try $0.attribute(id, name, at: 0) }
    }
  }

  /// Stores a row, replacing the one under its key.
  static func put(_ row: DFSCore.Row, _ digest: RowDigest, _ db: Database) throws {
    let value = row.value
    let (change, checksum) = (SQLValue.bits(row.change), SQLValue.bits(digest.low))
    switch row.key {
    case .inode(let id):
      try db.perform(
        "INSERT OR REPLACE INTO inode VALUES (?, ?, ?, ?, ?, ?)", .bits(id.value), change,
        value.content?.version.stored ?? .null,
        (value.content?.copies).map { .number(Int64($0)) } ?? .null, .bytes(value.bytes), checksum)
    case .entry(let parent, let name):
      try db.perform(
        "INSERT OR REPLACE INTO entry VALUES (?, ?, ?, ?, ?, ?)", .bits(parent.value),
        .bytes(name.bytes), change, (value.child?.value).map { .bits($0) } ?? .null,
        .bytes(value.bytes), checksum)
    case .attribute(let id, let name):
      try db.perform(
        "INSERT OR REPLACE INTO attribute VALUES (?, ?, ?, ?, ?)", .bits(id.value),
        .bytes(name.bytes), change, .bytes(value.bytes), checksum)
    }
  }

  static func delete(_ key: RowKey, _ db: Database) throws {
    switch key {
    case .inode(let id): try db.perform("DELETE FROM inode WHERE id = ?", .bits(id.value))
    case .entry(let parent, let name):
      try db.perform(
        "DELETE FROM entry WHERE parent = ? AND name = ?", .bits(parent.value), .bytes(name.bytes))
    case .attribute(let id, let name):
      try db.perform(
        "DELETE FROM attribute WHERE inode = ? AND name = ?", .bits(id.value), .bytes(name.bytes))
    }
  }

  /// Whether a value fits its key: only an entry has a child, only an inode a content.
  static func check(_ key: RowKey, _ value: RowValue) throws(DFSError) {
    let fits =
      switch key {
      case .inode: value.child == nil
      case .entry: value.content == nil
      case .attribute: value.child == nil && value.content == nil
      }
    guard fits else {
      throw DFSError(
        .protocolViolation, "a row has a child or a content where its kind has none: \(key)")
    }
  }
}

extension SQLRow {
  /// An inode whose change, version, copies, value and checksum begin at column `start`.
  func inode(_ id: InodeID, at start: Int) throws -> DFSCore.Row {
    let value = RowValue(bytes: bytes(start + 3), content: try content(start + 1))
    return try verified(
      DFSCore.Row(key: .inode(id), change: try number(start), value: value), checksum: start + 4)
  }

  /// An entry whose change, child, value and checksum begin at column `start`.
  func entry(_ parent: InodeID, _ name: FileName, at start: Int) throws -> DFSCore.Row {
    let value = RowValue(bytes: bytes(start + 2), child: try inodeID(start + 1))
    return try verified(
      DFSCore.Row(key: .entry(parent: parent, name: name), change: try number(start), value: value),
      checksum: start + 3)
  }

  /// An attribute whose change, value and checksum begin at column `start`.
  func attribute(_ id: InodeID, _ name: AttributeName, at start: Int) throws -> DFSCore.Row {
    let value = RowValue(bytes: bytes(start + 1))
    return try verified(
      DFSCore.Row(key: .attribute(id, name: name), change: try number(start), value: value),
      checksum: start + 2)
  }

  func inodeID(_ column: Int) throws -> InodeID? {
    isNull(column) ? nil : InodeID(try number(column))
  }

  private func verified(_ row: DFSCore.Row, checksum column: Int) throws -> DFSCore.Row {
    guard RowDigest(of: row).low == (try number(column)) else {
      throw DFSError(.damaged, "a row of the database does not match its checksum: \(row.key)")
    }
    return row
  }
}
