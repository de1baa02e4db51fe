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
      let statement = try db.cachedStatement(
        sql: "SELECT \"change\", version, copies, value, checksum FROM inode WHERE id = ?")
      return try GRDB.Row.fetchOne(statement, arguments: [id.value.stored])?.inode(id, at: 0)
    case .entry(let parent, let name):
      let statement = try db.cachedStatement(
        sql: "SELECT \"change\", child, value, checksum FROM entry WHERE parent = ? AND name = ?")
      return try GRDB.Row.fetchOne(statement, arguments: [parent.value.stored, name.bytes.stored])?
        .entry(parent, name, at: 0)
    case .attribute(let id, let name):
      let statement = try db.cachedStatement(
        sql: "SELECT \"change\", value, checksum FROM attribute WHERE inode = ? AND name = ?")
      return try GRDB.Row.fetchOne(statement, arguments: [id.value.stored, name.bytes.stored])?
        .attribute(id, name, at: 0)
    }
  }

  /// Stores a row, replacing the one under its key.
  static func put(_ row: DFSCore.Row, _ digest: RowDigest, _ db: Database) throws {
    let value = row.value
    switch row.key {
    case .inode(let id):
      try db.cachedStatement(sql: "INSERT OR REPLACE INTO inode VALUES (?, ?, ?, ?, ?, ?)").execute(
        arguments: [
          id.value.stored, row.change.stored, value.content?.version.stored,
          value.content?.copies, value.bytes.stored, digest.low.stored,
        ])
    case .entry(let parent, let name):
      try db.cachedStatement(sql: "INSERT OR REPLACE INTO entry VALUES (?, ?, ?, ?, ?, ?)").execute(
        arguments: [
          parent.value.stored, name.bytes.stored, row.change.stored, value.child?.value.stored,
          value.bytes.stored, digest.low.stored,
        ])
    case .attribute(let id, let name):
      try db.cachedStatement(sql: "INSERT OR REPLACE INTO attribute VALUES (?, ?, ?, ?, ?)")
        .execute(
          arguments: [
            id.value.stored, name.bytes.stored, row.change.stored, value.bytes.stored,
            digest.low.stored,
          ])
    }
  }

  static func delete(_ key: RowKey, _ db: Database) throws {
    switch key {
    case .inode(let id):
      try db.cachedStatement(sql: "DELETE FROM inode WHERE id = ?")
        .execute(arguments: [id.value.stored])
    case .entry(let parent, let name):
      try db.cachedStatement(sql: "DELETE FROM entry WHERE parent = ? AND name = ?")
        .execute(arguments: [parent.value.stored, name.bytes.stored])
    case .attribute(let id, let name):
      try db.cachedStatement(sql: "DELETE FROM attribute WHERE inode = ? AND name = ?")
        .execute(arguments: [id.value.stored, name.bytes.stored])
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

extension GRDB.Row {
  /// An inode whose change, version, copies, value and checksum begin at column `start`.
  func inode(_ id: InodeID, at start: Int) throws -> DFSCore.Row {
    let value = RowValue(bytes: try bytes(start + 3), content: try content(start + 1))
    return try verified(
      DFSCore.Row(key: .inode(id), change: try number(start), value: value), checksum: start + 4)
  }

  /// An entry whose change, child, value and checksum begin at column `start`.
  func entry(_ parent: InodeID, _ name: FileName, at start: Int) throws -> DFSCore.Row {
    let value = RowValue(bytes: try bytes(start + 2), child: try inodeID(start + 1))
    return try verified(
      DFSCore.Row(key: .entry(parent: parent, name: name), change: try number(start), value: value),
      checksum: start + 3)
  }

  /// An attribute whose change, value and checksum begin at column `start`.
  func attribute(_ id: InodeID, _ name: AttributeName, at start: Int) throws -> DFSCore.Row {
    let value = RowValue(bytes: try bytes(start + 1))
    return try verified(
      DFSCore.Row(key: .attribute(id, name: name), change: try number(start), value: value),
      checksum: start + 2)
  }

  func inodeID(_ column: Int) throws -> InodeID? {
    hasNull(atIndex: column) ? nil : InodeID(try number(column))
  }

  private func verified(_ row: DFSCore.Row, checksum column: Int) throws -> DFSCore.Row {
    guard RowDigest(of: row).low == (try number(column)) else {
      throw DFSError(.damaged, "a row of the database does not match its checksum: \(row.key)")
    }
    return row
  }
}
