package import DFSCore

/// One change while it is computed: reads rows of one committed state, collects row writes.
///
/// The operations on it (TransactionNames, TransactionRename, TransactionAttributes) are POSIX's
/// rules and nothing else: they know neither servers nor views.
///
/// Invariants:
/// - A read sees the transaction's own writes.
/// - At most one write for each key.
package struct Transaction: Sendable {
  /// The number that the change will have; it names new inodes.
  package let number: UInt64
  /// The client's clock; informs people, decides nothing.
  let time: Timestamp
  private let source: any RowSource
  private var known = KnownRows()
  private var indexes: [RowKey: Int] = [:]
  private var made = 0
  private(set) var writes: [RowWrite] = []
  /// Something that was appended lies elsewhere than where it was written.
  var isMoved = false

  init(number: UInt64, time: Timestamp, source: any RowSource) {
    self.number = number
    self.time = time
    self.source = source
  }

  // MARK: Reading

  /// Reads ahead what the next reads will ask for, in one exchange.
  mutating func load(_ queries: Query...) async throws {
    for finding in try await source.find(queries) { known.learn(finding) }
  }

  /// The inode, or nil if there is none.
  mutating func inode(_ id: InodeID) async throws -> Inode? {
    if !known.inode(id).isKnown { try await load(.inode(id)) }
    return known.inode(id).value
  }

  /// The directory `id`.
  /// - Throws: `notFound`, `notDirectory`.
  mutating func directory(_ id: InodeID) async throws -> Inode {
    guard let inode = try await inode(id) else {
      throw DFSError(.notFound, "directory \(id) does not exist any more")
    }
    guard inode.kind == .directory else {
      throw DFSError(.notDirectory, "inode \(id) is not a directory")
    }
    return inode
  }

  /// The inode that `name` leads to, or nil if there is no such entry.
  package mutating func child(_ parent: InodeID, _ name: FileName) async throws -> Inode? {
    if !known.entry(parent, name).isKnown { try await load(.entry(parent: parent, name: name)) }
    guard let id = known.entry(parent, name).value else { return nil }
    guard let inode = try await inode(id) else {
      throw DFSError(.damaged, "'\(name)' in directory \(parent) leads to no inode")
    }
    return inode
  }

  /// As `child`, but there must be one.
  package mutating func existingChild(_ parent: InodeID, _ name: FileName) async throws -> Inode {
    guard let inode = try await child(parent, name) else {
      throw DFSError(.notFound, "'\(name)' does not exist")
    }
    return inode
  }

  /// An inode that the caller has seen before.
  /// - Throws: `staleHandle` if it was removed since.
  mutating func seenInode(_ id: InodeID) async throws -> Inode {
    guard let inode = try await inode(id) else {
      throw DFSError(.staleHandle, "inode \(id) does not exist any more")
    }
    return inode
  }

  package mutating func isEmpty(_ directory: InodeID) async throws -> Bool {
    if let isEmpty = known.isEmpty(directory) { return isEmpty }
    try await load(.directory(directory, after: nil))
    return known.isEmpty(directory) ?? true
  }

  package mutating func attributes(_ id: InodeID) async throws -> [AttributeName: [UInt8]] {
    if let attributes = known.attributes(id) { return attributes }
    try await load(.attributes(id))
    return known.attributes(id) ?? [:]
  }

  // MARK: Writing

  /// The number of a new inode.
  mutating func newInode() -> InodeID {
    defer { made += 1 }
    return InodeID(change: number, index: made)
  }

  /// The number of an inode that a later change makes. So that this change happens, it deletes a row
  /// that nobody ever writes; the row belongs to no inode (there is none of number 0).
  mutating func reserveInode() -> InodeID {
    write(RowWrite(.attribute(InodeID(0), name: Self.reservation), nil))
    return newInode()
  }

  private static let reservation: AttributeName = {
    guard let name = try? AttributeName("reserved") else { preconditionFailure("it is a name") }
    return name
  }()

  /// Writes an inode's row, and the rows that its layers have for themselves.
  mutating func put(_ inode: Inode) {
    putLayers(of: inode, insteadOf: known.inode(inode.id).value)
    write(inode.row)
    known.add(.inode(inode.id, inode))
  }

  /// Writes the row of a layer, or deletes it.
  mutating func putLayer(_ id: InodeID, _ row: Inode?) {
    write(row?.row ?? RowWrite(.inode(id), nil))
    known.add(.inode(id, row))
  }

  /// Deletes the rows of an inode and of its attributes.
  mutating func remove(_ inode: Inode) async throws {
    for name in try await attributes(inode.id).keys.sorted() {
      write(RowWrite(.attribute(inode.id, name: name), nil))
    }
    var gone = inode
    gone.version = nil
    putLayers(of: gone, insteadOf: inode)
    write(RowWrite(.inode(inode.id), nil))
    known.add(.inode(inode.id, nil))
    known.add(.attributes(inode.id, [:]))
  }

  /// Lets a name lead to `child`, or to nothing.
  mutating func putEntry(_ parent: InodeID, _ name: FileName, _ child: InodeID?) {
    let value = child.map { RowValue(bytes: [], child: $0) }
    write(RowWrite(.entry(parent: parent, name: name), value))
    known.add(.entry(parent: parent, name, child))
  }

  package mutating func putAttribute(_ id: InodeID, _ name: AttributeName, _ value: [UInt8]?) {
    write(RowWrite(.attribute(id, name: name), value.map { RowValue(bytes: $0) }))
    var all = known.attributes(id) ?? [:]
    all[name] = value
    known.add(.attributes(id, all))
  }

  // MARK: Joining

  /// Within what one change may have: inodes, rows and bytes, with room for one operation more.
  private static let joint = (inodes: 128, writes: 1024, bytes: 1 << 20)

  /// Whether what this transaction has beyond `earlier` may be part of the same change: not if it replaces
  /// or drops a content that `earlier` publishes, whose copies would travel with a change that does not
  /// name them, and not if it becomes too much.
  func mayJoin(_ earlier: Transaction) -> Bool {
    guard made <= Self.joint.inodes, writes.count <= Self.joint.writes,
      writes.reduce(0, { $0 + ($1.value?.bytes.count ?? 0) }) <= Self.joint.bytes
    else { return false }
    return earlier.writes.indices.allSatisfy { index in
      guard let content = earlier.writes[index].value?.content else { return true }
      return writes[index].value?.content == content
    }
  }

  /// The rows that were written since there were these writes: others may be of the same change.
  func keys(writtenSince earlier: [RowWrite]) -> [RowKey] {
    writes.indices.filter { !earlier.indices.contains($0) || writes[$0] != earlier[$0] }
      .map { writes[$0].key }
  }

  private mutating func write(_ write: RowWrite) {
    if let index = indexes[write.key] {
      writes[index] = write
    } else {
      indexes[write.key] = writes.count
      writes.append(write)
    }
  }
}
