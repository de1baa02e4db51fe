public import DFSCore
internal import DFSReplication
internal import GRDB
internal import Synchronization

/// Proving that the rows are what the head says.
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
