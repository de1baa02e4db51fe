public import DFSCore

/// Rows in memory, and what a server that has them answers to queries.
public struct QueryableRows: Sendable {
  public var rows: [RowKey: Row]
  /// Rows of one answer.
  public var pageRows = Int.max
  /// Answers every question for all rows with the first ones.
  public var repeatsPages = false

  public init(_ rows: [RowKey: Row] = [:]) { self.rows = rows }

  public func answer(_ query: Query) -> QueryAnswer {
    switch query {
    case .inode(let id): whole([rows[.inode(id)]])
    case .entry(let parent, let name):
      whole(withInode(rows[.entry(parent: parent, name: name)]))
    case .directory(let id, let after): directory(id, after: after)
    case .attributes(let id):
      whole(
        sorted(rows.values.filter { if case .attribute(id, _) = $0.key { true } else { false } }))
    case .everything(let after): everything(after: after)
    case .substitutes(let after):
      whole(
        sorted(
          rows.values.filter { row in
            guard case .inode(let id) = row.key, let content = row.value.content else {
              return false
            }
            return content.placement != content.home && after.map { $0 < id } ?? true
          }))
    }
  }

  private func whole(_ rows: [Row?]) -> QueryAnswer {
    QueryAnswer(rows: rows.compactMap { $0 }, isPartial: false)
  }

  private func withInode(_ entry: Row?) -> [Row?] {
    [entry, entry?.value.child.flatMap { rows[.inode($0)] }]
  }

  private func directory(_ id: InodeID, after: FileName?) -> QueryAnswer {
    let entries = rows.values.compactMap { row -> (name: FileName, row: Row)? in
      guard case .entry(id, let name) = row.key, after.map({ $0 < name }) ?? true else {
        return nil
      }
      return (name, row)
    }.sorted { $0.name < $1.name }
    let page = entries.prefix(pageRows)
    return QueryAnswer(
      rows: page.flatMap { withInode($0.row).compactMap { $0 } },
      isPartial: page.count < entries.count)
  }

  private func everything(after: RowKey?) -> QueryAnswer {
    let rest = sorted(rows.values).drop { row in
      guard let after, !repeatsPages else { return false }
      return !after.order.lexicographicallyPrecedes(row.key.order)
    }
    let page = rest.prefix(pageRows)
    return QueryAnswer(rows: Array(page), isPartial: page.count < rest.count)
  }

  private func sorted(_ rows: some Sequence<Row>) -> [Row] {
    rows.sorted { $0.key.order.lexicographicallyPrecedes($1.key.order) }
  }
}

extension RowKey {
  /// Keys are ordered by kind, inode, name.
  fileprivate var order: [UInt8] {
    switch self {
    case .inode(let id): [1] + id.value.bigEndianBytes
    case .entry(let parent, let name): [2] + parent.value.bigEndianBytes + name.bytes
    case .attribute(let id, let name): [3] + id.value.bigEndianBytes + name.bytes
    }
  }
}
