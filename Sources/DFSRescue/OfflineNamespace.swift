internal import DFSCore
internal import DFSStore
internal import DFSSystem
internal import GRDB

/// The rows of a user that a rescue goes by.
///
/// Invariant: every row that is given out matched its checksum. `isProven` says that they are all
/// the rows of `head`, too.
final class OfflineNamespace {
  let head: Head
  let isProven: Bool
  private let reader: any DatabaseReader
  /// Keeps the file of collected rows.
  private let stage: StagedState?

  init(_ database: OfflineDatabase, head: Head) {
    self.head = head
    isProven = true
    reader = database.database.pool
    stage = nil
  }

  init(collected stage: StagedState, head: Head) throws {
    self.head = head
    self.stage = stage
    isProven = try stage.finish() == head.digest
    reader = try DatabaseQueue(path: stage.path)
  }

  func forEach(_ body: (DFSCore.Row) throws -> Void) throws {
    try reader.read { db in try RowScan(db: db).forEach(body) }
  }

  /// Entries of a directory in the order of their names, each with the row of its inode.
  func entries(of id: InodeID, after name: FileName?) throws -> RowPage {
    var page = RowPage(bytesLeft: Limits.answerBytes, mayBeEmpty: false)
    try reader.read { db in try RowScan(db: db).directory(id, after: name, &page) }
    return page
  }

  /// nil if there is no such row, or it is not an inode's.
  func inode(_ id: InodeID) throws -> Inode? {
    let row = try reader.read { db in try RowTables.row(.inode(id), db) }
    return row.flatMap { try? Inode(id: id, row: $0.value.bytes) }
  }

  /// Extended attributes, as programs see them; they fit one page.
  func attributes(of id: InodeID) throws -> [(name: AttributeName, value: [UInt8])] {
    var page = RowPage(bytesLeft: Limits.answerBytes, mayBeEmpty: false)
    _ = try reader.read { db in
      try RowScan(db: db).attributes(of: id, after: nil, &page)
    }
    return page.rows.compactMap { row in
      guard case .attribute(_, let name) = row.key, name != .locks else { return nil }
      return (name, row.value.bytes)
    }
  }
}

extension OfflineNamespace {
  /// Picks the truth as the protocol does: the greatest head (view first, then number) among the
  /// databases whose rows are proven. If there is none, the rows that verify of those databases
  /// which have the greatest head: where they are damaged at different places, nothing is missing.
  /// - Parameter note: told of what is not as it should be.
  static func choose(
    from users: [OfflineUser], scratch: ScratchDirectory, note: (String) -> Void
  ) throws -> OfflineNamespace {
    users.forEach { tellState(of: $0, note) }
    try refuseSeveral(users)
    let databases = users.compactMap(\.database)
    let proven = databases.filter(\.isProven).compactMap { database in
      database.head.map { (database, $0) }
    }
    guard let best = proven.max(by: { $0.1.isBefore($1.1) }) else {
      return try collect(from: databases, scratch, note)
    }
    if proven.count == 1 {
      note("only one database is whole: a change that its server missed is not known here")
    }
    return OfflineNamespace(best.0, head: best.1)
  }

  /// Of two namespaces the greatest head says nothing about the other.
  private static func refuseSeveral(_ users: [OfflineUser]) throws(DFSError) {
    let named = users.compactMap { user in
      (user.database?.head?.view.namespace).map { (title: user.directory.title, id: $0) }
    }
    guard let first = named.first, let other = named.first(where: { $0.id != first.id }) else {
      return
    }
    throw DFSError(
      .configuration,
      "\(first.title) has the namespace \(first.id.brief) of this user, \(other.title) has \(other.id.brief): "
        + "one is of another cluster, or from before the account was made anew; name directories of one"
    )
  }

  private static func tellState(of user: OfflineUser, _ note: (String) -> Void) {
    let title = user.directory.title
    switch user.names {
    case .absent:
      note("\(title) has no database of this user; what copies it has are used")
    case .unreadable(let error):
      note("\(title): the database is damaged and not used (\(error.cause ?? error.message))")
    case .opened(let database):
      guard case .refuted(let error) = database.proof else { return }
      note("\(title): the database is damaged (\(error.cause ?? error.message))")
    }
  }

  private static func collect(
    from databases: [OfflineDatabase], _ scratch: ScratchDirectory, _ note: (String) -> Void
  ) throws -> OfflineNamespace {
    guard let best = databases.max(by: { $0.order.isBefore($1.order) }) else {
      throw DFSError(
        .notFound,
        "none of these directories has a database of this user that can be read, and without one "
          + "no name is known; add the directory of another server")
    }
    let head = best.order
    let stage = try StagedState(path: scratch.path + "/collected.sqlite")
    for database in databases where database.order.hasSameRows(as: head) {
      try collect(database, into: stage)
    }
    let namespace = try OfflineNamespace(collected: stage, head: head)
    note(
      namespace.isProven
        ? "every database is damaged, but together they have all rows of their head"
        : "every database is damaged; the rows of them that verify are used, names may be missing")
    return namespace
  }

  private static func collect(_ database: OfflineDatabase, into stage: StagedState) throws {
    var batch: [DFSCore.Row] = []
    // Without a transaction: where a page is damaged, its end would fail as well.
    try database.database.pool.unsafeRead { db in
      try RowScan(db: db, leaveOut: { _ in }).forEach { row in
        batch.append(row)
        guard batch.count == Limits.changeWrites else { return }
        try stage.add(batch)
        batch = []
      }
    }
    try stage.add(batch)
  }

  /// Whether a database that is not whole knew of later changes than these rows have.
  func isBehind(_ users: [OfflineUser]) -> Bool {
    users.compactMap { $0.database?.head }.contains { head.isBefore($0) }
  }
}

extension OfflineDatabase {
  /// The head it is compared by.
  fileprivate var order: Head { head ?? .blank }
}

extension Head {
  fileprivate func isBefore(_ other: Head) -> Bool {
    (view, number) < (other.view, other.number)
  }
}
