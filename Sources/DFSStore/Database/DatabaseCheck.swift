internal import DFSCore
internal import DFSReplication
internal import DFSSystem
internal import GRDB
internal import Glibc

/// Reads a whole database and proves that it is what was written: its tables are ours, SQLite finds
/// no fault in its pages, every row has its checksum, all rows have the digest of the head, and the
/// log of changes leads up to it. (The bytes of small copies are checked when they are read, and by
/// the scrub: a bad one is a bad copy, not a bad database.)
struct DatabaseCheck {
  /// Is told of rows that were read.
  typealias Progress = (_ rows: UInt64) -> Void

  private static let progressRows: UInt64 = 1000

  let db: Database
  var progress: Progress = { _ in }

  /// - Returns: the state that the database holds.
  /// - Throws: `damaged`, with what is wrong.
  func run() throws -> Ledger {
    let format = try NamespaceDatabase.format(of: db) ?? NamespaceDatabase.format
    try checkSchema(format)
    try checkPages()
    let ledger = try Ledger.load(db, format: format)
    try checkRows(ledger)
    try checkLog(ledger)
    try CopyTables.check(db)
    return ledger
  }

  private static func damage(_ text: String) -> DFSError { DFSError(.damaged, text) }

  private func checkSchema(_ format: Int32) throws {
    let expected = format == 1 ? Self.firstSchema : Self.expectedSchema
    guard try Self.schema(db) == expected.get() else {
      throw Self.damage("its tables are not those that were made")
    }
  }

  private static let expectedSchema = Result { try schema(of: Schema.text) }
  private static let firstSchema = Result { try schema(of: Schema.firstText) }

  private static func schema(of text: String) throws -> [String] {
    try DatabaseQueue().write { db in
      try db.execute(sql: text)
      return try schema(db)
    }
  }

  private static func schema(_ db: Database) throws -> [String] {
    try String.fetchAll(
      db,
      sql: "SELECT type || ' ' || name || ' ' || tbl_name || ' ' || ifnull(sql, '')"
        + " FROM sqlite_schema ORDER BY name")
  }

  private func checkPages() throws {
    let faults = try String.fetchAll(db, sql: "PRAGMA integrity_check(3)")
    guard faults == ["ok"] else { throw Self.damage(faults.joined(separator: "; ")) }
  }

  private func checkRows(_ ledger: Ledger) throws {
    var sum = RowDigest.empty
    var inodes: UInt64 = 0
    var count: UInt64 = 0
    try RowScan(db: db).forEach { row in
      sum += RowDigest(of: row)
      if case .inode = row.key { inodes += 1 }
      count += 1
      if count.isMultiple(of: Self.progressRows) { progress(Self.progressRows) }
    }
    let head = ledger.replica.head
    guard sum == head.digest else {
      throw Self.damage("its rows have the digest \(sum), their head \(head) says \(head.digest)")
    }
    guard inodes == ledger.inodes else {
      throw Self.damage("it has \(inodes) inodes, its state says \(ledger.inodes)")
    }
    progress(count % Self.progressRows)
  }

  private func checkLog(_ ledger: Ledger) throws {
    var (number, digest) = (ledger.logBase, ledger.logBaseDigest)
    try ChangeLog.forEach(db) { entry in
      guard entry.number == number + 1 else {
        throw Self.damage("its log lacks change \(number + 1)")
      }
      (number, digest) = (entry.number, entry.digest)
    }
    guard number == ledger.replica.head.number, digest == ledger.replica.head.digest else {
      throw Self.damage("its log ends at change \(number), its head is \(ledger.replica.head)")
    }
  }
}

/// Proving a user's database before it is opened.
///
/// Invariant: nothing of it is changed, so that what is found damaged stays as it is.
enum DatabaseExamination {
  /// - Returns: what the database holds; nil if there is none yet.
  /// - Throws: `damaged`, with what is wrong and how to go on.
  static func examine(
    _ directory: String, progress: @escaping DatabaseCheck.Progress = { _ in }
  ) throws(DFSError) -> Ledger? {
    let path = "\(directory)/\(NamespaceDatabase.fileName)"
    do {
      return try examine(directory, path, progress)
    } catch let error as DFSError {
      throw error.code == .damaged ? .damagedDatabase(path, error) : error
    } catch {
      let error = DFSError.database(error, path)
      // SQLite has many words for a header that makes no sense.
      let isOfTheMachine = [.noSpace, .quotaExceeded, .accessDenied].contains(error.code)
      throw isOfTheMachine || error.code == .damaged ? error : .damagedDatabase(path, error)
    }
  }

  private static func examine(
    _ directory: String, _ path: String, _ progress: @escaping DatabaseCheck.Progress
  ) throws -> Ledger? {
    let mark = try DatabaseMark.read(directory)
    guard let length = try Disk.status(path)?.bytes else {
      let hasLog = try Disk.status(path + "-wal").map { $0.bytes > 0 } ?? false
      guard mark == nil, !hasLog else {
        throw DFSError(.damaged, "it is missing, though it was in use")
      }
      return nil
    }
    // Made by a process that ended before it was used.
    if mark == nil, length == 0 { return nil }
    if case .open(let boot, let noted) = mark { try examineLog(directory, path, boot, noted) }
    // Refuses a file that may not be read, before SQLite calls it something else.
    _ = try File(path, flags: O_RDONLY)
    let ledger = try read(path, isMarked: mark != nil, progress)
    guard mark != nil || ledger == nil || ledger?.generation == 0 else {
      throw DFSError(.damaged, "\(DatabaseMark.fileName) beside it is missing")
    }
    return ledger
  }

  /// Where the disk is full the extent is not noted: that only matters to a crash within the next
  /// moments, which then has the database refused.
  private static func examineLog(
    _ directory: String, _ path: String, _ boot: String, _ noted: LogExtent?
  ) throws(DFSError) {
    let isSameBoot = boot == DatabaseMark.boot
    let extent = try LogExamination.examine(database: path, isSameBoot: isSameBoot, noted: noted)
    guard let extent, extent != noted else { return }
    do {
      try DatabaseMark.open(boot: boot, extent: extent).write(directory)
    } catch {
      guard error.code == .noSpace || error.code == .quotaExceeded else { throw error }
    }
  }

  private static func read(
    _ path: String, isMarked: Bool, _ progress: @escaping DatabaseCheck.Progress
  ) throws -> Ledger? {
    var configuration = NamespaceDatabase.configuration
    configuration.readonly = true
    let queue = try DatabaseQueue(path: path, configuration: configuration)
    let ledger = try queue.read { db -> Ledger? in
      guard try NamespaceDatabase.format(of: db) != nil else {
        guard !isMarked else { throw DFSError(.damaged, "its header says that it has no tables") }
        return nil
      }
      return try DatabaseCheck(db: db, progress: progress).run()
    }
    try queue.close()
    return ledger
  }
}

extension DFSError {
  /// A database that nothing may be served from.
  static func damagedDatabase(_ path: String, _ error: DFSError) -> DFSError {
    let directory = Disk.parent(of: Disk.parent(of: path))
    return DFSError(
      .damaged,
      "the database \(path) is damaged, and nothing is served from it: \(error); stop this server, run "
        + "'dfs repair \(directory) --quarantine' and start it again: it gets its rows from the others"
    )
  }
}
