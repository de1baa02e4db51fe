internal import DFSCore

/// The rows after every change.
struct Replay {
  private struct Value {
    let from: UInt64
    let row: Row?
    /// Of an inode's row.
    let inode: Inode?
  }

  private let changes: [Change]
  private var timeline: [RowKey: [Value]] = [:]
  private var digests: [RowDigest] = [.empty]
  /// Who published each version, by which change.
  private(set) var publications: [VersionID: (client: ClientID, number: UInt64)] = [:]

  init(_ changes: [Change]) {
    self.changes = changes
    var digest = RowDigest.empty
    for (index, change) in changes.enumerated() {
      let number = UInt64(index + 1)
      for write in change.writes {
        if let old = timeline[write.key]?.last?.row { digest -= RowDigest(of: old) }
        let row = write.value.map { Row(key: write.key, change: number, value: $0) }
        if let row { digest += RowDigest(of: row) }
        let inode = row.flatMap(Self.inode)
        timeline[write.key, default: []].append(Value(from: number, row: row, inode: inode))
        if inode?.kind == .regular, let version = inode?.version?.id, publications[version] == nil {
          publications[version] = (change.id.client, number)
        }
      }
      digests.append(digest)
    }
  }

  private static func inode(_ row: Row) -> Inode? {
    guard case .inode(let id) = row.key else { return nil }
    return try? Inode(id: id, row: row.value.bytes)
  }

  func change(_ number: UInt64) -> Change? {
    number > 0 && number <= UInt64(changes.count) ? changes[Int(number - 1)] : nil
  }

  func digest(at number: UInt64) -> RowDigest? {
    number < UInt64(digests.count) ? digests[Int(number)] : nil
  }

  func row(_ key: RowKey, at number: UInt64) -> Row? {
    timeline[key]?.last { $0.from <= number }?.row
  }

  func inode(_ id: InodeID, at number: UInt64) -> Inode? {
    timeline[.inode(id)]?.last { $0.from <= number }?.inode
  }

  /// All values that a row had, where it had one.
  func values(of key: RowKey) -> [[UInt8]] {
    (timeline[key] ?? []).compactMap { $0.row?.value.bytes }
  }

  /// The last moment.
  var last: UInt64 { UInt64(changes.count) }

  /// The change that appends a token to an attribute of the root.
  func number(appending token: UInt64, to name: AttributeName) -> UInt64? {
    let versions = timeline[.attribute(.root, name: name)] ?? []
    return versions.first { version in
      let bytes = version.row?.value.bytes ?? []
      return stride(from: 0, to: bytes.count, by: 8).contains {
        UInt64(bigEndian: Array(bytes[$0..<min($0 + 8, bytes.count)])) == token
      }
    }?.from
  }

  /// The change that gives an inode a version.
  func number(publishing version: VersionID, in inode: InodeID) -> UInt64? {
    timeline[.inode(inode)]?.first { $0.inode?.version?.id == version }?.from
  }

  /// The change that removes an inode.
  func number(removing inode: InodeID) -> UInt64? {
    timeline[.inode(inode)]?.first { $0.row == nil }?.from
  }

  /// The first change of a client after `floor` that writes a row. What it wrote another operation of the same
  /// change may have written again.
  func number(writing key: RowKey, by client: ClientID, after floor: UInt64) -> UInt64? {
    timeline[key]?.first { $0.from > floor && change($0.from)?.id.client == client }?.from
  }

  func isRemoved(_ inode: InodeID?, by number: UInt64) -> Bool {
    inode.flatMap { self.number(removing: $0) } == number
  }

  func has(_ inode: Inode, at moment: UInt64) -> Bool {
    self.inode(inode.id, at: moment) == inode
  }

  /// What the names of a directory lead to.
  func entries(of directory: InodeID, at moment: UInt64) -> [FileName: InodeID] {
    var found: [FileName: InodeID] = [:]
    for case .entry(directory, let name) in timeline.keys {
      found[name] = row(.entry(parent: directory, name: name), at: moment)?.value.child
    }
    return found
  }
}
