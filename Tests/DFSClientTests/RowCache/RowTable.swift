import DFSCore
import DFSTestSupport

@testable import DFSClient

/// All rows of a namespace in memory, and the answers that they give.
struct RowTable: Sendable, RowSource {
  private var table = QueryableRows()
  private(set) var digest = RowDigest.empty

  var rows: [RowKey: Row] { table.rows }
  var repeatsPages: Bool {
    get { table.repeatsPages }
    set { table.repeatsPages = newValue }
  }
  /// Rows of one answer.
  var pageRows: Int {
    get { table.pageRows }
    set { table.pageRows = newValue }
  }

  mutating func perform(_ writes: [RowWrite], number: UInt64) {
    for write in writes {
      put(write.value.map { Row(key: write.key, change: number, value: $0) }, under: write.key)
    }
  }

  mutating func put(_ row: Row?, under key: RowKey) {
    if let old = table.rows[key] { digest -= RowDigest(of: old) }
    table.rows[key] = row
    if let row { digest += RowDigest(of: row) }
  }

  func find(_ queries: [Query]) async throws -> [Finding] {
    try queries.flatMap { try Finding.of($0, answer($0)) }
  }

  func answer(_ query: Query) -> QueryAnswer { table.answer(query) }
}
