public import DFSCore
internal import DFSReplication
package import GRDB
internal import Synchronization

/// Proving that the rows are what the head says.
package enum RowCheck {
  /// Reads every row, each against its checksum, and compares their digest with the head's.
  /// - Parameter each: called for each row; what it throws ends the reading.
  /// - Throws: `damaged` if the rows are not those of the head.
  package static func prove(_ db: Database, each: () throws -> Void = {}) throws -> Head {
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
  /// Checks the whole database as at the start of the server (`DatabaseCheck`), but from one state of
  /// it while others write.
  /// - Returns: the head that the rows are.
  /// - Throws: `damaged` if they are not; the database is not used any more then.
  @discardableResult
  public func checkRows() async throws -> Head {
    try await read { db in try DatabaseCheck(db: db).run().replica.head }
  }
}

/// A number of rows that goes up.
final class RowCount: Sendable {
  private let count = Atomic<UInt64>(0)

  var value: UInt64 { count.load(ordering: .relaxed) }
  func add(_ rows: UInt64) { count.wrappingAdd(rows, ordering: .relaxed) }
}
