internal import DFSCore

/// What an answer to a query says, decoded: the one place where rows become inodes, entries and
/// attributes, and where a missing row becomes a known absence.
enum Finding: Hashable, Sendable {
  /// The inode, or that there is none.
  case inode(InodeID, Inode?)
  /// What the name leads to, or that there is no such entry.
  case entry(parent: InodeID, FileName, InodeID?)
  case attributes(InodeID, [AttributeName: [UInt8]])
  /// All entries of a directory.
  case listing(InodeID, [FileName: InodeID])

  /// What `answer` says about `query`.
  /// - Throws: `damaged` if a row cannot be read.
  static func of(_ query: Query, _ answer: QueryAnswer) throws(DFSError) -> [Finding] {
    var findings: [Finding] = []
    for row in answer.rows { findings.append(try of(row)) }
    switch query {
    case .inode(let id):
      if findings.isEmpty { findings.append(.inode(id, id == .root ? .unwrittenRoot : nil)) }
    case .entry(let parent, let name):
      let isThere = answer.rows.contains { $0.key == .entry(parent: parent, name: name) }
      if !isThere { findings.append(.entry(parent: parent, name, nil)) }
    case .directory(let id, let after):
      if after == nil, !answer.isPartial { findings.append(listing(of: id, findings)) }
    case .attributes(let id):
      if answer.isPartial { return [] }
      let attributes = answer.rows.compactMap { row -> (AttributeName, [UInt8])? in
        if case .attribute(id, let name) = row.key { (name, row.value.bytes) } else { nil }
      }
      return [.attributes(id, Dictionary(attributes) { $1 })]
    case .everything, .substitutes: break
    }
    return findings
  }

  private static func of(_ row: Row) throws(DFSError) -> Finding {
    switch row.key {
    case .inode(let id): .inode(id, try Inode(id: id, row: row.value.bytes))
    case .entry(let parent, let name): .entry(parent: parent, name, row.value.child)
    case .attribute(let id, let name): .attributes(id, [name: row.value.bytes])
    }
  }

  private static func listing(of id: InodeID, _ findings: [Finding]) -> Finding {
    let children = findings.compactMap { finding -> (FileName, InodeID)? in
      if case .entry(id, let name, let child?) = finding { (name, child) } else { nil }
    }
    return .listing(id, Dictionary(children) { $1 })
  }
}

extension Inode {
  /// The root directory of a namespace whose root was never changed: it has no row.
  static let unwrittenRoot = Inode(
    id: .root, kind: .directory, mode: 0o755, owner: 0, group: 0, links: 2,
    time: Timestamp(nanoseconds: 0))
}

/// Where a transaction reads: rows of one committed state of a namespace.
protocol RowSource: Sendable {
  /// Everything that state says about `queries`, and maybe more.
  func find(_ queries: [Query]) async throws -> [Finding]
}

/// A small table of findings.
///
/// Invariant: all of it is from one state, changed only by the transaction's own writes.
struct KnownRows: Sendable {
  private var inodes: [InodeID: Known<Inode>] = [:]
  private var entries: [RowKey: Known<InodeID>] = [:]
  private var attributes: [InodeID: [AttributeName: [UInt8]]] = [:]
  private var emptiness: [InodeID: Bool] = [:]

  init(_ findings: [Finding] = []) {
    for finding in findings { add(finding) }
  }

  mutating func add(_ finding: Finding) {
    switch finding {
    case .inode(let id, let inode): inodes[id] = Known(inode)
    case .entry(let parent, let name, let child):
      entries[.entry(parent: parent, name: name)] = Known(child)
      if child != nil { emptiness[parent] = false }
    case .attributes(let id, let values): attributes[id] = values
    case .listing(let id, let children): emptiness[id] = children.isEmpty
    }
  }

  /// Adds what was not known: what is known may be a write of the transaction's own, which a source of rows
  /// knows nothing of.
  mutating func learn(_ finding: Finding) {
    switch finding {
    case .inode(let id, _): if inodes[id] != nil { return }
    case .entry(let parent, let name, let child):
      let key = RowKey.entry(parent: parent, name: name)
      guard entries[key] == nil else { return }
      entries[key] = Known(child)
      if child != nil, emptiness[parent] == nil { emptiness[parent] = false }
      return
    case .attributes(let id, _): if attributes[id] != nil { return }
    case .listing(let id, _): if emptiness[id] != nil { return }
    }
    add(finding)
  }

  func inode(_ id: InodeID) -> Known<Inode> { inodes[id] ?? .unknown }
  func entry(_ parent: InodeID, _ name: FileName) -> Known<InodeID> {
    entries[.entry(parent: parent, name: name)] ?? .unknown
  }
  /// The inode that a name leads to.
  func child(_ parent: InodeID, _ name: FileName) -> Known<Inode> {
    switch entry(parent, name) {
    case .unknown: .unknown
    case .absent: .absent
    case .present(let id): inode(id)
    }
  }
  func attributes(_ id: InodeID) -> [AttributeName: [UInt8]]? { attributes[id] }
  func isEmpty(_ directory: InodeID) -> Bool? { emptiness[directory] }
}
