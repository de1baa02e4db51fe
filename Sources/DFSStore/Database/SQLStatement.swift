internal import CSQLite
internal import DFSCore
internal import GRDB

/// Statements of SQLite's, as the tables of the namespace are read and written: compiled once for each
/// connection, which GRDB keeps, and bound and stepped without its boxes, for a change takes some forty of them.
/// (https://www.sqlite.org/cintro.html)

/// A value that a statement is given.
enum SQLValue {
  case number(Int64)
  case bytes([UInt8])
  /// The 16 bytes of two numbers, most significant first.
  case wide(UInt64, UInt64)
  case null

  /// A number without a sign, by its bits.
  static func bits(_ number: UInt64) -> SQLValue { .number(number.stored) }
}

/// The row that a statement is at, as long as it is there.
struct SQLRow {
  fileprivate let statement: OpaquePointer

  func isNull(_ column: Int) -> Bool {
    sqlite3_column_type(statement, Int32(column)) == SQLITE_NULL
  }

  /// The blob of a column; empty where it is NULL or has no bytes.
  func bytes(_ column: Int) -> [UInt8] {
    guard let start = sqlite3_column_blob(statement, Int32(column)) else { return [] }
    let count = Int(sqlite3_column_bytes(statement, Int32(column)))
    return Array(UnsafeRawBufferPointer(start: start, count: count))
  }

  /// The two numbers that a blob holds, most significant first; nil if it does not have 16 bytes.
  func pair(_ column: Int) -> (high: UInt64, low: UInt64)? {
    guard let start = sqlite3_column_blob(statement, Int32(column)),
      sqlite3_column_bytes(statement, Int32(column)) == 16
    else { return nil }
    return (
      UInt64(bigEndian: start.loadUnaligned(as: UInt64.self)),
      UInt64(bigEndian: start.loadUnaligned(fromByteOffset: 8, as: UInt64.self))
    )
  }

  /// - Throws: `damaged` if it is no number: a page of the database can change under us.
  func integer(_ column: Int) throws(DFSError) -> Int64 {
    guard sqlite3_column_type(statement, Int32(column)) == SQLITE_INTEGER else {
      throw DFSError(.damaged, "a number in the database is none")
    }
    return sqlite3_column_int64(statement, Int32(column))
  }
}

/// A statement with its values, on the way through its rows.
///
/// Invariant: after `end` it holds no lock, and another may use the same text.
struct SQLStatement {
  /// Keeps the compiled statement alive.
  private let kept: Statement
  private let pointer: OpaquePointer

  init(_ text: String, _ values: [SQLValue], _ db: Database) throws {
    kept = try db.cachedStatement(sql: text)
    pointer = kept.sqliteStatement
    for (index, value) in values.enumerated() {
      let status = Self.bind(value, at: Int32(index + 1), pointer)
      guard status == SQLITE_OK else { throw error(status) }
    }
  }

  private static func bind(_ value: SQLValue, at index: Int32, _ pointer: OpaquePointer) -> Int32 {
    switch value {
    case .number(let number): sqlite3_bind_int64(pointer, index, number)
    case .null: sqlite3_bind_null(pointer, index)
    case .bytes(let bytes): bytes.withUnsafeBytes { bind($0, at: index, pointer) }
    case .wide(let high, let low):
      withUnsafeBytes(of: (high.bigEndian, low.bigEndian)) { bind($0, at: index, pointer) }
    }
  }

  /// No bytes are no NULL.
  private static func bind(
    _ bytes: UnsafeRawBufferPointer, at index: Int32, _ pointer: OpaquePointer
  ) -> Int32 {
    guard let start = bytes.baseAddress else { return sqlite3_bind_zeroblob(pointer, index, 0) }
    return sqlite3_bind_blob(pointer, index, start, Int32(bytes.count), dfs_copied_by_sqlite)
  }

  /// Goes to the next row.
  /// - Returns: nil after the last one.
  func next() throws -> SQLRow? {
    switch sqlite3_step(pointer) {
    case SQLITE_ROW: return SQLRow(statement: pointer)
    case SQLITE_DONE: return nil
    case let status: throw error(status)
    }
  }

  /// Lets go of what the statement holds. (That its last step failed was thrown there.)
  func end() { sqlite3_reset(pointer) }

  private func error(_ status: Int32) -> DatabaseError {
    let message = sqlite3_errmsg(sqlite3_db_handle(pointer)).map { String(cString: $0) }
    return DatabaseError(resultCode: ResultCode(rawValue: status), message: message, sql: kept.sql)
  }
}

extension Database {
  /// Performs a statement that has no rows.
  func perform(_ text: String, _ values: SQLValue...) throws {
    let statement = try SQLStatement(text, values, self)
    defer { statement.end() }
    while try statement.next() != nil {}
  }

  /// The first row, as `read` takes it; nil if there is none.
  func first<Value>(
    _ text: String, _ values: SQLValue..., read: (SQLRow) throws -> Value
  ) throws -> Value? {
    let statement = try SQLStatement(text, values, self)
    defer { statement.end() }
    return try statement.next().map(read)
  }

  /// Whether there is a row.
  func hasRow(_ text: String, _ values: SQLValue...) throws -> Bool {
    let statement = try SQLStatement(text, values, self)
    defer { statement.end() }
    return try statement.next() != nil
  }

  /// Calls `body` with each row.
  func forEach(
    _ text: String, _ values: SQLValue..., body: (SQLRow) throws -> Void
  ) throws {
    let statement = try SQLStatement(text, values, self)
    defer { statement.end() }
    while let row = try statement.next() { try body(row) }
  }

  /// Calls `body` with the rows until it returns false.
  func forEachWhile(
    _ text: String, _ values: SQLValue..., body: (SQLRow) throws -> Bool
  ) throws {
    let statement = try SQLStatement(text, values, self)
    defer { statement.end() }
    while let row = try statement.next(), try body(row) {}
  }

  // MARK: Transactions

  /// Runs `body` in a transaction that may write.
  /// - Parameter body: returns whether what it did is kept.
  func transaction(_ body: () throws -> Bool) throws {
    try perform("BEGIN IMMEDIATE")
    do {
      try perform(try body() ? "COMMIT" : "ROLLBACK")
    } catch {
      if isInsideTransaction { try? perform("ROLLBACK") }
      throw error
    }
  }

  /// Runs `body` so that it can be undone alone.
  /// - Parameter body: returns whether what it did is kept.
  func savepoint(_ body: () throws -> Bool) throws {
    try perform("SAVEPOINT job")
    do {
      if try !body() { try perform("ROLLBACK TO job") }
    } catch {
      if isInsideTransaction {
        try? perform("ROLLBACK TO job")
        try? perform("RELEASE job")
      }
      throw error
    }
    try perform("RELEASE job")
  }
}

extension DatabaseReader {
  /// Runs `body` so that all that it reads is of one state.
  func snapshot<Value>(_ body: (Database) throws -> Value) throws -> Value {
    try unsafeRead { db in
      try db.perform("BEGIN")
      defer { try? db.perform("COMMIT") }
      return try body(db)
    }
  }
}
