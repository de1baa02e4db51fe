package import DFSCore
internal import GRDB

/// Answers to queries, all from the one state that a reader's transaction sees.
///
/// Invariants:
/// - Answers with many rows hold at most `Limits.answerBytes` altogether; what does not fit is
///   said to be partial.
/// - Those with single rows hold at most `singleBytes` altogether, far more than honest rows take.
/// - Numbers are in the order without a sign, names in that of their bytes.
struct NamespaceQueries {
  let db: Database
  private static let singleBytes = Limits.headerBytes - Limits.answerBytes - (64 << 10)
  private var singleBytesLeft = Self.singleBytes
  private var bytesLeft = Limits.answerBytes
  /// Whether an answer with many rows was given: the first always has at least one row.
  private var hasAnswered = false

  init(db: Database) { self.db = db }

  mutating func answer(_ query: Query) throws -> QueryAnswer {
    switch query {
    case .inode(let id): return try single([RowTables.row(.inode(id), db)])
    case .entry(let parent, let name): return try entry(parent, name)
    case .directory(let id, let after):
      return try collect { [db] page in
        try RowScan(db: db).directory(id, after: after, &page)
      }
    case .attributes(let id):
      return try collect { [db] page in
        _ = try RowScan(db: db).attributes(of: id, after: nil, &page)
      }
    case .everything(let after):
      return try collect { [db] page in
        try RowScan(db: db).everything(after: after, &page)
      }
    case .substitutes(let after):
      return try collect { [db] page in try RowScan(db: db).substitutes(after: after, &page) }
    }
  }

  private mutating func single(_ rows: [DFSCore.Row?]) throws(DFSError) -> QueryAnswer {
    let rows = rows.compactMap { $0 }
    singleBytesLeft -= rows.reduce(0) { $0 + $1.approximateBytes }
    guard singleBytesLeft >= 0 else {
      throw DFSError(
        .invalidArgument,
        "the rows that are asked for take more than \(Self.singleBytes) bytes; ask for fewer at once"
      )
    }
    return QueryAnswer(rows: rows, isPartial: false)
  }

  private mutating func entry(_ parent: InodeID, _ name: FileName) throws -> QueryAnswer {
    guard let entry = try RowTables.row(.entry(parent: parent, name: name), db) else {
      return try single([])
    }
    let inode = try entry.value.child.flatMap { try RowTables.row(.inode($0), db) }
    return try single([entry, inode])
  }

  private mutating func collect(
    _ body: (inout RowPage) throws -> Void
  ) throws -> QueryAnswer {
    var page = RowPage(bytesLeft: bytesLeft, mayBeEmpty: hasAnswered)
    try body(&page)
    bytesLeft = page.bytesLeft
    hasAnswered = true
    return QueryAnswer(rows: page.rows, isPartial: page.isPartial)
  }
}

/// The rows of an answer as far as they fit.
package struct RowPage {
  package private(set) var rows: [DFSCore.Row] = []
  private(set) var bytesLeft: Int
  package private(set) var isPartial = false
  /// Whether even the first rows may be left out.
  let mayBeEmpty: Bool

  package init(bytesLeft: Int, mayBeEmpty: Bool) {
    self.bytesLeft = bytesLeft
    self.mayBeEmpty = mayBeEmpty
  }

  /// Adds rows that belong together.
  /// - Returns: false if they do not fit any more.
  package mutating func add(_ group: [DFSCore.Row]) -> Bool {
    let bytes = group.reduce(0) { $0 + $1.approximateBytes }
    guard bytes <= bytesLeft || (rows.isEmpty && !mayBeEmpty) else {
      isPartial = true
      return false
    }
    bytesLeft = max(0, bytesLeft - bytes)
    rows += group
    return true
  }
}

extension DFSCore.Row {
  /// What the row takes in an encoded answer, rather too much.
  var approximateBytes: Int {
    let name =
      switch key {
      case .inode: 0
      case .entry(_, let name): name.bytes.count
      case .attribute(_, let name): name.bytes.count
      }
    return value.bytes.count + name + (value.content == nil ? 0 : 32) + 48
  }
}
