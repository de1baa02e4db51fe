public import DFSCore
internal import DFSReplication
internal import GRDB

/// Proving that the rows are what the head says.
enum RowCheck {
  /// Reads every row, each against its checksum, and compares their digest with the head's.
  /// - Parameter each: called for each row; what it throws ends the reading.
  /// - Throws: `damaged` if the rows are not those of the head.
  static func prove(_ db: Database, each: () throws -> Void = {}) throws -> Head {
    let head = try Ledger.load(db).replica.head
    var sum = RowDigest.empty
    try RowScan(db: db).forEach { row in
      try each()
      sum += RowDigest(of: row)
    }
    guard sum == head.digest else {
      throw DFSError(
        .damaged, "the rows have the digest \(sum), their head \(head) says \(head.digest)")
    }
    return head
  }
}

extension UserStore {
  /// - Returns: the head that the rows are.
  /// - Throws: `damaged` if they are not; the database is not used any more then.
  public func checkRows() async throws -> Head {
    try await read { db in try RowCheck.prove(db) }
  }
}
