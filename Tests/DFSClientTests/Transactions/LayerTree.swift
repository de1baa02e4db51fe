import DFSCore
import Testing

@testable import DFSClient

/// Files with layers in rows in memory.
extension TransactionTests.Tree {
  static let time = Timestamp(nanoseconds: 77)

  static func content(_ size: UInt64 = 10) -> Content {
    let md5 = MD5Digest(high: .random(in: 0 ... .max), low: .random(in: 0 ... .max))
    return Content(
      id: .random(), size: size, md5: md5, placement: Placement(md5: md5),
      partDigests: PartIndex.all.map { _ in BlockChecksum(0) })
  }

  /// A layer of some bytes at the beginning of a file.
  static func layer(over below: Version?, bytes: UInt64 = 3) -> NewLayer {
    let extents = [LayerExtent(0..<bytes)]
    let size = max(below?.size ?? 0, bytes)
    let patch = Patch(over: below, extents, cut: below?.size ?? 0, size: size)
    return NewLayer(id: .random(), content: content(bytes), patch: patch, index: .row(extents))
  }

  /// What a transaction writes.
  func writes(_ body: (inout Transaction) async throws -> Void) async throws -> [RowWrite] {
    try await run {
      try await body(&$0)
      return $0.writes
    }
  }

  /// A file in the root with a base and so many layers.
  func layered(_ name: String, _ count: Int, base: Content? = TransactionTests.Tree.content(100))
    async throws -> Inode
  {
    var file = try await make(.root, name)
    if let base { file = try await publish(.whole(base), to: file.id) }
    for _ in 0..<count {
      file = try await publish(.layer(Self.layer(over: file.version)), to: file.id)
    }
    return file
  }

  func publish(
    _ new: NewVersion, to id: InodeID, _ opened: OpenedVersion? = nil, own: Set<VersionID> = []
  ) async throws -> Inode {
    try await run {
      try await $0.publish(
        new, to: .inode(id, modified: Self.time, changed: Self.time, opened: opened), own: own)
    }
  }

  func opened(
    _ name: String, _ version: Version?, _ attributes: NewInode? = nil
  ) throws -> OpenedVersion {
    OpenedVersion(
      version: version?.id, parent: .root, name: try FileName(name), host: "here",
      attributes: attributes)
  }

  /// The file in the root whose name begins with `NAME (conflict`.
  func kept(_ name: String) async throws -> Inode? {
    let found = entries.first { $0.key.description.hasPrefix("\(name) (conflict here ") }
    guard let id = found?.value else { return nil }
    return try await inode(id)
  }

  /// The first byte of an inode's row.
  func format(of id: InodeID) -> UInt8? { table.rows[.inode(id)]?.value.bytes.first }

  /// The inodes of a kind.
  func inodes(_ kind: FileKind) throws -> [Inode] {
    try table.rows.values.compactMap { row in
      guard case .inode(let id) = row.key else { return nil }
      let inode = try Inode(id: id, row: row.value.bytes)
      return inode.kind == kind ? inode : nil
    }
  }

  var unsettled: [FileName: InodeID] { entries(of: .unsettled) }

  /// What is true of all rows after every change.
  func checkLayers(_ at: SourceLocation = #_sourceLocation) throws {
    var listed: [InodeID: (file: Inode, content: Content)] = [:]
    let files = try inodes(.regular)
    for file in files {
      for layer in file.version?.layers ?? [] {
        #expect(listed[layer.inode] == nil, "layer \(layer.inode) twice", sourceLocation: at)
        listed[layer.inode] = (file, layer.content)
      }
    }
    for layer in try inodes(.layer) {
      let place = listed.removeValue(forKey: layer.id)
      #expect(place?.file.id == layer.parent, "layer \(layer.id) has no file", sourceLocation: at)
      #expect(layer.content == place?.content, "layer \(layer.id)", sourceLocation: at)
      #expect(layer.links == 0 && layer.version?.layers == [], sourceLocation: at)
    }
    #expect(listed.isEmpty, "layers without rows: \(listed.keys)", sourceLocation: at)
    let expected = files.filter { $0.version.map { !$0.isSettled } ?? false }
    let pairs = expected.map { ($0.id.unsettledName, $0.id) }
    let named = Dictionary(uniqueKeysWithValues: pairs)
    #expect(unsettled == named, sourceLocation: at)
    // No file without a name, and no name without a file.
    var names: [InodeID: UInt32] = [:]
    for (key, row) in table.rows {
      guard case .entry(let parent, _) = key, parent != .unsettled, let child = row.value.child
      else { continue }
      names[child, default: 0] += 1
    }
    for file in files {
      #expect(file.links == names[file.id], "file \(file.id)", sourceLocation: at)
      let row = table.rows[.inode(file.id)]
      #expect(row?.value.version == file.version?.base?.id, sourceLocation: at)
      let isLayered = file.version.map { !$0.layers.isEmpty } ?? false
      #expect(format(of: file.id) == (isLayered ? 2 : 1), sourceLocation: at)
    }
  }
}
