package import DFSCore
internal import DFSSystem
internal import GRDB
internal import Synchronization

/// The rows of a transfer on their way: a database of its own in `tmp/`, so that an unfinished transfer
/// changes nothing and any number of rows fits that the user's quota allows. It need not survive a crash.
package final class StagedState: Sendable {
  package let path: String
  private let state: Mutex<State>

  private struct State {
    /// nil once the rows were taken or dropped.
    var queue: DatabaseQueue?
    var rows = Rows()
  }

  /// What all rows come to.
  private struct Rows {
    var digest = RowDigest.empty
    package var bytes: UInt64 = 0

    static func += (sum: inout Rows, row: (DFSCore.Row, RowDigest)) {
      sum.digest += row.1
      sum.bytes += UInt64(row.0.approximateBytes)
    }

    static func -= (sum: inout Rows, row: DFSCore.Row) {
      sum.digest -= RowDigest(of: row)
      sum.bytes -= min(sum.bytes, UInt64(row.approximateBytes))
    }
  }

  private let staged = Atomic<UInt64>(0)

  /// About how many bytes the rows take; never waits.
  package var bytes: UInt64 { staged.load(ordering: .relaxed) }

  package init(path: String) throws(DFSError) {
    self.path = path
    do {
      var configuration = Configuration()
      configuration.prepareDatabase { db in
        try db.execute(sql: "PRAGMA synchronous = OFF; PRAGMA cache_size = -2000")
      }
      let queue = try DatabaseQueue(path: path, configuration: configuration)
      try queue.write { try $0.execute(sql: Schema.rows(in: "main")) }
      state = Mutex(State(queue: queue))
    } catch {
      throw .database(error, path)
    }
  }

  deinit { try? Disk.remove(path) }

  /// Begins with all rows of the database at `path`, but for some.
  /// - Parameter digest: of all of them.
  func begin(with path: String, _ digest: RowDigest, without: [RowKey]) throws(DFSError) {
    do {
      try state.withLock { state in
        guard let queue = state.queue else { throw Self.ended }
        var rows = Rows(digest: digest)
        try queue.writeWithoutTransaction { db in
          try db.execute(sql: "ATTACH DATABASE ? AS own", arguments: [path])
          defer { try? db.execute(sql: "DETACH DATABASE own") }
          try db.transaction {
            try db.execute(
              sql: """
                INSERT INTO main.inode SELECT * FROM own.inode;
                INSERT INTO main.entry SELECT * FROM own.entry;
                INSERT INTO main.attribute SELECT * FROM own.attribute;
                """)
            let pages = try UInt64.fetchOne(db, sql: "PRAGMA main.page_count") ?? 0
            rows.bytes = pages * (try UInt64.fetchOne(db, sql: "PRAGMA main.page_size") ?? 0)
            for key in without { try Self.remove(key, &rows, db) }
            return true
          }
        }
        state.rows = rows
        staged.store(rows.bytes, ordering: .relaxed)
      }
    } catch {
      throw .database(error, path)
    }
  }

  /// Adds a page; a row that comes again replaces the one before.
  package func add(_ rows: [DFSCore.Row]) throws(DFSError) {
    try change { sum, db in
      for row in rows { try Self.add(row, &sum, db) }
    }
    CrashPoint.reached(.rowsStaged)
  }

  /// Performs changes in order. Rows that were read before or after one of them are in the end as all
  /// of them left them.
  func perform(_ entries: [LogEntry]) throws(DFSError) {
    try change { sum, db in
      for entry in entries {
        for write in entry.change.writes {
          if let value = write.value {
            try Self.add(Row(key: write.key, change: entry.number, value: value), &sum, db)
          } else {
            try Self.remove(write.key, &sum, db)
          }
        }
      }
    }
  }

  private func change(_ body: (inout Rows, Database) throws -> Void) throws(DFSError) {
    do {
      try state.withLock { state in
        guard let queue = state.queue else { throw Self.ended }
        var rows = state.rows
        try queue.write { db in try body(&rows, db) }
        state.rows = rows
        staged.store(rows.bytes, ordering: .relaxed)
      }
    } catch {
      throw .database(error, path)
    }
  }

  private static var ended: DFSError {
    DFSError(.cancelled, "the transfer has ended; begin it again")
  }

  private static func remove(
    _ key: RowKey, _ rows: inout Rows, _ db: Database
  ) throws {
    guard let old = try RowTables.row(key, db) else { return }
    try RowTables.delete(key, db)
    rows -= old
  }

  private static func add(
    _ row: DFSCore.Row, _ rows: inout Rows, _ db: Database
  ) throws {
    try RowTables.check(row.key, row.value)
    if let old = try RowTables.row(row.key, db) { rows -= old }
    let new = RowDigest(of: row)
    try RowTables.put(row, new, db)
    rows += (row, new)
  }

  /// Ends the adding and closes the file.
  /// - Returns: the digest of all rows.
  package func finish() throws(DFSError) -> RowDigest {
    do {
      return try state.withLock { state in
        try state.queue?.close()
        state.queue = nil
        return state.rows.digest
      }
    } catch {
      throw .database(error, path)
    }
  }

  /// The rows are not wanted any more.
  func discard() {
    state.withLock { $0.queue = nil }
    try? Disk.remove(path)
  }
}
