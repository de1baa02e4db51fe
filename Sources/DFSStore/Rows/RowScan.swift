package import DFSCore
package import GRDB

/// Reading many rows in order: numbers in their order without a sign, names in that of their bytes.
///
/// A row that does not verify ends the reading, unless `leaveOut` is given: then that is told, and
/// all rows are read that can be.
package struct RowScan {
  let db: Database
  private let leaveOut: ((any Error) -> Void)?

  package init(db: Database, leaveOut: ((any Error) -> Void)? = nil) {
    self.db = db
    self.leaveOut = leaveOut
  }

  /// A directory's entries, each with its inode.
  package func directory(_ id: InodeID, after: FileName?, _ page: inout RowPage) throws {
    let text = """
      SELECT e.name, e."change", e.child, e.value, e.checksum,
        i."change", i.version, i.copies, i.value, i.checksum
      FROM entry e LEFT JOIN inode i ON i.id = e.child
      WHERE e.parent = ? AND e.name > ? ORDER BY e.name
      """
    try db.forEachWhile(text, .bits(id.value), .bytes(after?.bytes ?? [])) { row in
      var group = [try row.entry(id, try row.fileName(0), at: 1)]
      if let child = try row.inodeID(2), !row.isNull(5) {
        group.append(try row.inode(child, at: 5))
      }
      return page.add(group)
    }
  }

  /// Inodes of whose content some copies are not where the rule puts them.
  func substitutes(after id: InodeID?, _ page: inout RowPage) throws {
    let text =
      "SELECT id, \"change\", version, copies, value, checksum FROM inode"
      + " WHERE \(Schema.isSubstitute) AND id BETWEEN ? AND ? ORDER BY id"
    _ = try ranges(after: id, text, &page) { row in
      try row.inode(InodeID(try row.number(0)), at: 1)
    }
  }

  /// - Returns: whether all of them did fit.
  package func attributes(
    of id: InodeID, after: AttributeName?, _ page: inout RowPage
  ) throws -> Bool {
    let text =
      "SELECT name, \"change\", value, checksum FROM attribute"
      + " WHERE inode = ? AND name > ? ORDER BY name"
    return try add(text, [.bits(id.value), .bytes(after?.bytes ?? [])], &page) { row in
      try row.attribute(id, try row.attributeName(0), at: 1)
    }
  }

  // MARK: Everything

  /// All rows after a key.
  func everything(after key: RowKey?, _ page: inout RowPage) throws {
    switch key {
    case nil:
      guard try inodes(after: nil, &page) else { return }
      guard try entries(after: nil, &page) else { return }
      _ = try attributes(after: nil, &page)
    case .inode(let id):
      guard try inodes(after: id, &page) else { return }
      guard try entries(after: nil, &page) else { return }
      _ = try attributes(after: nil, &page)
    case .entry(let parent, let name):
      guard try entries(of: parent, after: name, &page) else { return }
      guard try entries(after: parent, &page) else { return }
      _ = try attributes(after: nil, &page)
    case .attribute(let id, let name):
      guard try attributes(of: id, after: name, &page) else { return }
      _ = try attributes(after: id, &page)
    }
  }

  /// Every row, without holding more than a page.
  package func forEach(_ body: (DFSCore.Row) throws -> Void) throws {
    var last: RowKey?
    while true {
      var page = RowPage(bytesLeft: Limits.answerBytes, mayBeEmpty: false)
      try everything(after: last, &page)
      try page.rows.forEach(body)
      guard page.isPartial else { return }
      last = page.rows.last?.key
    }
  }

  private func inodes(after id: InodeID?, _ page: inout RowPage) throws -> Bool {
    let text =
      "SELECT id, \"change\", version, copies, value, checksum FROM inode"
      + " WHERE id BETWEEN ? AND ? ORDER BY id"
    return try ranges(after: id, text, &page) { row in
      try row.inode(InodeID(try row.number(0)), at: 1)
    }
  }

  private func entries(
    of parent: InodeID, after name: FileName, _ page: inout RowPage
  ) throws -> Bool {
    let text =
      "SELECT name, \"change\", child, value, checksum FROM entry"
      + " WHERE parent = ? AND name > ? ORDER BY name"
    return try add(text, [.bits(parent.value), .bytes(name.bytes)], &page) { row in
      try row.entry(parent, try row.fileName(0), at: 1)
    }
  }

  private func entries(after parent: InodeID?, _ page: inout RowPage) throws -> Bool {
    let text =
      "SELECT parent, name, \"change\", child, value, checksum FROM entry"
      + " WHERE parent BETWEEN ? AND ? ORDER BY parent, name"
    return try ranges(after: parent, text, &page) { row in
      try row.entry(InodeID(try row.number(0)), try row.fileName(1), at: 2)
    }
  }

  private func attributes(after id: InodeID?, _ page: inout RowPage) throws -> Bool {
    let text =
      "SELECT inode, name, \"change\", value, checksum FROM attribute"
      + " WHERE inode BETWEEN ? AND ? ORDER BY inode, name"
    return try ranges(after: id, text, &page) { row in
      try row.attribute(InodeID(try row.number(0)), try row.attributeName(1), at: 2)
    }
  }

  /// The rows of every number after `id`, until they do not fit any more.
  private func ranges(
    after id: InodeID?, _ text: String, _ page: inout RowPage,
    _ read: (SQLRow) throws -> DFSCore.Row
  ) throws -> Bool {
    for range in UnsignedRanges.after(id?.value) {
      let bounds = [SQLValue.number(range.lowerBound), .number(range.upperBound)]
      guard try add(text, bounds, &page, read) else { return false }
    }
    return true
  }

  /// Adds rows until they do not fit any more.
  private func add(
    _ text: String, _ values: [SQLValue], _ page: inout RowPage,
    _ read: (SQLRow) throws -> DFSCore.Row
  ) throws -> Bool {
    let statement = try SQLStatement(text, values, db)
    defer { statement.end() }
    while let row = try leavingOut({ try statement.next() }) ?? nil {
      guard let row = try leavingOut({ try read(row) }) else { continue }
      guard page.add([row]) else { return false }
    }
    return true
  }

  /// - Returns: nil if it failed and that is to be left out. (Where the database itself cannot find
  ///   the next row, the rows behind it cannot be reached.)
  private func leavingOut<Value>(_ body: () throws -> Value) throws -> Value? {
    do {
      return try body()
    } catch {
      guard let leaveOut else { throw error }
      leaveOut(error)
      return nil
    }
  }
}
