public import DFSCore
internal import DFSReplication
internal import GRDB

/// Proving that the rows are what the head says.
extension UserStore {
  /// Reads every row, each against its checksum, and compares their digest with the head's.
  /// - Returns: the head that the rows are.
  /// - Throws: `damaged` if they are not; the database is not used any more then.
  public func checkRows() async throws -> Head {
    try await read { db in
      let head = try Ledger.load(db).replica.head
      var sum = RowDigest.empty
      try RowScan(db: db).forEach { sum += RowDigest(of: $0) }
      guard sum == head.digest else {
        throw DFSError(
          .damaged, "the rows have the digest \(sum), their head \(head) says \(head.digest)")
      }
      return head
    }
  }
}
