internal import CSQLite
package import DFSCore
internal import DFSSystem
internal import Foundation
package import GRDB
internal import Glibc
internal import Synchronization

/// One user's SQLite database: opening, schema, and bringing its write-ahead log to stable storage.
///
/// Invariants:
/// - SQLite never checkpoints by itself: the log reaches stable storage only through `Writer`, which
///   first brings the copies there that the log's changes name; and where a process left a log, after
///   everything of the user was brought there (`DatabaseHandle.examine`).
/// - Nor does it move or remove the log when the last connection ends (`configuration`): only `close`
///   does, which says so in the mark. What is let go after a failure stays as it is.
/// - A file that is not ours, or of a newer format, is not written.
/// - Before anything is written the mark says that the database is open, and the log has a frame; it
///   says closed only after everything is in the database (`DatabaseMark`).
package final class NamespaceDatabase: Sendable {
  /// "DFSN".
  static let applicationID: Int32 = 0x4446_534e
  /// The first one, of releases before 1.1, has no identity of the namespace in its state.
  static let format: Int32 = 2
  /// Of a new database; one that was made before has 4096. A change writes a few rows into ten pages, so small
  /// pages make its log short.
  static let pageBytes = 1024
  package static let fileName = "namespace.sqlite"

  package let directory: String
  package let path: String
  package let pool: DatabasePool
  /// A descriptor of our own for the write-ahead log. (Closing one releases no lock of SQLite's:
  /// those are on the database and the shared-memory file.)
  private let log: File
  /// The same for `syncLogInBackground`: the kernel tells each descriptor once that writing failed.
  private let backgroundLog: File
  /// Whether the writing connection waits for stable storage at each commit.
  private let isDurable = Mutex(false)
  /// Whether the mark says so.
  private let isMarkedOpen = Mutex(false)

  /// - Parameter known: what the database was found to hold; nil: there was none.
  package init(directory: String, known: Ledger?) throws(DFSError) {
    self.directory = directory
    path = "\(directory)/\(Self.fileName)"
    do {
      pool = try Self.open(path, known)
      log = try File(path + "-wal", flags: O_RDWR)
      backgroundLog = try File(path + "-wal", flags: O_RDWR)
      if try pool.snapshot({ db in try Self.format(of: db) }) == 1 {
        try pool.writeWithoutTransaction(upgrade)
      }
    } catch {
      let error = DFSError.database(error, path)
      throw error.code == .damaged && !error.tellsRemedy ? .damagedDatabase(path, error) : error
    }
    // The names of the database and its log.
    try Disk.syncDirectory(directory)
  }

  private static func open(_ path: String, _ known: Ledger?) throws -> DatabasePool {
    guard known == nil || Disk.exists(path) else { throw DFSError(.damaged, "it is gone") }
    let pool = try DatabasePool(path: path, configuration: Self.configuration)
    do {
      try prepare(pool, known)
    } catch let error as DatabaseError where error.extendedResultCode == .SQLITE_IOERR_FSYNC {
      abandoned.withLock { _ = $0.insert(path) }
      throw error
    }
    return pool
  }

  /// Databases that could not be opened because an fsync failed: this process does not open them again.
  private static let abandoned = Mutex<Set<String>>([])

  static func isAbandoned(_ path: String) -> Bool { abandoned.withLock { $0.contains(path) } }

  private static func prepare(_ pool: DatabasePool, _ known: Ledger?) throws {
    try pool.writeWithoutTransaction { db in
      guard let known else { return try migrate(db) }
      let format = try Self.format(of: db) ?? Self.format
      guard try Ledger.load(db, format: format) == known else {
        throw DFSError(.damaged, "it is not as it was left: it was replaced behind our back")
      }
      try leaveLog(db)
    }
  }

  /// Moves a log that a process left into the database, so that the next frame begins the log anew.
  /// An fsync of it may have failed: what the kernel shows of it then need not be on the disk, no
  /// later fsync tells, and after a loss of power nothing behind the gap would be read.
  private static func leaveLog(_ db: Database) throws {
    do {
      try db.checkpoint(.passive)
    } catch let error as DatabaseError where error.resultCode == .SQLITE_FULL {
      // It is read all the same; who has no room cannot acknowledge much either.
    }
  }

  static var configuration: Configuration {
    var configuration = Configuration()
    configuration.maximumReaderCount = 2
    configuration.foreignKeysEnabled = false
    configuration.busyMode = .timeout(5)
    configuration.prepareDatabase { db in
      try setCheckpointOnClose(false, db)
      try db.execute(
        sql: """
          PRAGMA page_size = \(pageBytes);
          PRAGMA cache_size = -1000;
          PRAGMA cell_size_check = ON;
          PRAGMA wal_autocheckpoint = 0;
          PRAGMA journal_size_limit = 67108864;
          """)
    }
    return configuration
  }

  private static func setCheckpointOnClose(_ isOn: Bool, _ db: Database) throws {
    let status = dfs_checkpoint_on_close(db.sqliteConnection, isOn ? 1 : 0)
    guard status == SQLITE_OK else { throw DatabaseError(resultCode: ResultCode(rawValue: status)) }
  }

  /// The format of the tables; nil if there are none, as in a new file.
  static func format(of db: Database) throws -> Int32? {
    let application = try Int32.fetchOne(db, sql: "PRAGMA application_id") ?? 0
    let format = try Int32.fetchOne(db, sql: "PRAGMA user_version") ?? 0
    if application == Self.applicationID, (1...Self.format).contains(format) { return format }
    if application == 0, format == 0 { return nil }
    throw DFSError(
      .configuration,
      "the database \(db.description) has format \(format); this program reads formats up to "
        + "\(Self.format): use a newer release")
  }

  /// A database of the first format gets the new table of its state; the rows stay as they are.
  private func upgrade(_ db: Database) throws {
    guard try Self.format(of: db) == 1 else { return }
    try setDurable(true, db)
    try db.transaction {
      let ledger = try Ledger.load(db, format: 1)
      try db.execute(sql: "DROP TABLE state; \(Schema.state)")
      try ledger.save(db)
      try db.execute(sql: "PRAGMA user_version = \(Self.format)")
      return true
    }
  }

  private static func migrate(_ db: Database) throws {
    guard try format(of: db) == nil else { return }
    try db.transaction {
      try db.execute(sql: Schema.text)
      try db.execute(
        sql: """
          PRAGMA application_id = \(Self.applicationID);
          PRAGMA user_version = \(Self.format);
          """)
      return true
    }
    CrashPoint.reached(.databaseMade)
  }

  // MARK: Stable storage

  /// Before anything is written: whether commits wait for stable storage. Only between transactions.
  func setDurable(_ durable: Bool, _ db: Database) throws {
    try markOpen(db)
    try wait(durable, db)
  }

  private func wait(_ durable: Bool, _ db: Database) throws {
    guard isDurable.withLock({ $0 != durable }) else { return }
    try db.execute(sql: "PRAGMA synchronous = \(durable ? "FULL" : "NORMAL")")
    isDurable.withLock { $0 = durable }
  }

  /// From now on a log that is missing or empty says that changes were lost.
  private func markOpen(_ db: Database) throws {
    guard !isMarkedOpen.withLock({ $0 }) else { return }
    // A frame for the log, on stable storage.
    try wait(true, db)
    try db.execute(sql: "PRAGMA user_version = \(Self.format(of: db) ?? Self.format)")
    try DatabaseMark.open(boot: DatabaseMark.boot, extent: nil).write(directory)
    isMarkedOpen.withLock { $0 = true }
  }

  /// Brings every commit to stable storage.
  func syncLog() throws(DFSError) { try log.sync() }

  /// The same, while others are committed, which it may bring there too.
  func syncLogInBackground() throws(DFSError) { try backgroundLog.sync() }

  /// Moves the log into the database file.
  /// - Returns: whether all of it; a reader may be in the way.
  func checkpoint(_ db: Database) throws -> Bool {
    let (frames, moved) = try db.checkpoint(.passive)
    return frames == moved
  }

  /// Moves the whole log into the database and closes it. After a failure it is open as before.
  /// - Returns: what the database holds.
  func close() throws(DFSError) -> Ledger {
    do {
      let ledger = try pool.writeWithoutTransaction { db in
        guard try checkpoint(db) else {
          throw DFSError(.busy, "somebody reads \(path); its log cannot be moved into it")
        }
        return try Ledger.load(db)
      }
      CrashPoint.reached(.databaseClosing)
      try DatabaseMark.closed.write(directory)
      isMarkedOpen.withLock { $0 = false }
      // The log is of no use any more, and what is left open is closed with this object.
      _ = try? pool.writeWithoutTransaction { db in
        try Self.setCheckpointOnClose(true, db)
        try db.checkpoint(.truncate)
      }
      try? pool.close()
      return ledger
    } catch {
      throw .database(error, path)
    }
  }

  /// Bytes of the pages that hold something, wherever they are: the log is as long as it happens to be.
  static func usedBytes(_ db: Database) throws -> UInt64 {
    let pages = try db.first("PRAGMA page_count") { try $0.integer(0) } ?? 0
    let free = try db.first("PRAGMA freelist_count") { try $0.integer(0) } ?? 0
    return UInt64(max(0, pages - free)) * UInt64(try pageBytes(db))
  }

  private static func pageBytes(_ db: Database) throws -> Int {
    Int(try db.first("PRAGMA page_size") { try $0.integer(0) } ?? 0)
  }

  /// Bytes that this connection wrote into the log since it was asked last.
  /// (https://www.sqlite.org/c3ref/c_dbstatus_options.html)
  static func loggedBytes(_ db: Database) throws -> Int {
    var (pages, highest): (Int32, Int32) = (0, 0)
    sqlite3_db_status(db.sqliteConnection, SQLITE_DBSTATUS_CACHE_WRITE, &pages, &highest, 1)
    return pages == 0 ? 0 : Int(pages) * (try pageBytes(db))
  }
}

/// The tables (docs/FORMATS.md, "Tables").
enum Schema {
  static let text = state + tables

  /// The text of format 1.
  static let firstText = firstState + tables

  static let state = """
    CREATE TABLE state (
      id INTEGER PRIMARY KEY CHECK (id = 1),
      promisedRound INTEGER NOT NULL, promisedClient INTEGER NOT NULL,
      viewRound INTEGER NOT NULL, viewClient INTEGER NOT NULL,
      number INTEGER NOT NULL, digest BLOB NOT NULL,
      logBase INTEGER NOT NULL, logBaseDigest BLOB NOT NULL,
      inodes INTEGER NOT NULL, generation INTEGER NOT NULL, committed INTEGER NOT NULL,
      checksum INTEGER NOT NULL, promisedNamespace BLOB NOT NULL, viewNamespace BLOB NOT NULL
    ) STRICT;
    INSERT INTO state VALUES (1, 0, 0, 0, 0, 0, zeroblob(16), 0, zeroblob(16), 0, 0, 0,
      \(Ledger().checksum), zeroblob(16), zeroblob(16));

    """

  private static let firstState = """
    CREATE TABLE state (
      id INTEGER PRIMARY KEY CHECK (id = 1),
      promisedRound INTEGER NOT NULL, promisedClient INTEGER NOT NULL,
      viewRound INTEGER NOT NULL, viewClient INTEGER NOT NULL,
      number INTEGER NOT NULL, digest BLOB NOT NULL,
      logBase INTEGER NOT NULL, logBaseDigest BLOB NOT NULL,
      inodes INTEGER NOT NULL, generation INTEGER NOT NULL, committed INTEGER NOT NULL,
      checksum INTEGER NOT NULL
    ) STRICT;
    INSERT INTO state VALUES (1, 0, 0, 0, 0, 0, zeroblob(16), 0, zeroblob(16), 0, 0, 0,
      \(Ledger().checksum));

    """

  private static let tables = """
    \(rows(in: "main"))
    CREATE INDEX main.inodeVersion ON inode (version) WHERE version IS NOT NULL;
    CREATE INDEX main.standIn ON inode (id) WHERE \(isSubstitute);
    CREATE TABLE log (
      number INTEGER PRIMARY KEY, client INTEGER NOT NULL, sequence INTEGER NOT NULL,
      digest BLOB NOT NULL, bytes INTEGER NOT NULL, writes BLOB NOT NULL, checksum INTEGER NOT NULL
    ) STRICT;
    CREATE TABLE part (
      version BLOB NOT NULL, part INTEGER NOT NULL, checksum INTEGER NOT NULL, bytes BLOB NOT NULL
    ) STRICT;
    CREATE UNIQUE INDEX partKey ON part (version, part);
    CREATE TABLE escrow (
      version BLOB NOT NULL, part INTEGER NOT NULL, number INTEGER NOT NULL,
      since INTEGER NOT NULL, checksum INTEGER NOT NULL, bytes BLOB NOT NULL,
      PRIMARY KEY (version, part)
    ) STRICT;
    CREATE INDEX escrowAge ON escrow (since);
    CREATE TABLE garbage (
      version BLOB NOT NULL, part INTEGER NOT NULL, number INTEGER NOT NULL,
      since INTEGER NOT NULL, checksum INTEGER NOT NULL, PRIMARY KEY (version, part)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE wanted (
      version BLOB NOT NULL, part INTEGER NOT NULL, inode INTEGER NOT NULL,
      checksum INTEGER NOT NULL,
      PRIMARY KEY (version, part)
    ) STRICT, WITHOUT ROWID;
    """

  /// Whether the copies of an inode's content are not where the rule puts them (`RowContent.copies`).
  static let isSubstitute = "copies & 65535 <> copies >> 16"

  /// The three tables of rows, as the namespace and a staged transfer have them.
  static func rows(in database: String) -> String {
    """
    CREATE TABLE \(database).inode (
      id INTEGER PRIMARY KEY, "change" INTEGER NOT NULL, version BLOB, copies INTEGER,
      value BLOB NOT NULL, checksum INTEGER NOT NULL
    ) STRICT;
    CREATE TABLE \(database).entry (
      parent INTEGER NOT NULL, name BLOB NOT NULL, "change" INTEGER NOT NULL, child INTEGER,
      value BLOB NOT NULL, checksum INTEGER NOT NULL, PRIMARY KEY (parent, name)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE \(database).attribute (
      inode INTEGER NOT NULL, name BLOB NOT NULL, "change" INTEGER NOT NULL, value BLOB NOT NULL,
      checksum INTEGER NOT NULL, PRIMARY KEY (inode, name)
    ) STRICT, WITHOUT ROWID;
    """
  }
}
