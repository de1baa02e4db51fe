import DFSCore
import Testing

@testable import DFSClient

/// What becomes of layers in the background: several become one, and a version becomes one content.
@Suite struct LayerMergeTests {
  private typealias Tree = TransactionTests.Tree

  private func settled(_ version: Version) -> Content {
    let md5 = MD5Digest.of([UInt8(version.layers.count)])
    return Content(
      id: version.id, size: version.size, md5: md5, placement: Placement(md5: md5),
      partDigests: PartIndex.all.map { _ in BlockChecksum(0) })
  }

  // MARK: Merging

  @Test(arguments: [0..<2, 1..<3, 3..<5, 0..<5, 2..<3])
  func layersBecomeOne(_ run: Range<Int>) async throws {
    let tree = Tree()
    let file = try await tree.layered("a", 5)
    let version = try #require(file.version)
    let merged = Tree.layer(over: nil, bytes: 7)
    let old = Array(version.layers[run])
    let writes = try await tree.writes {
      let isDone = try await $0.merge(old, of: file.id, into: merged)
      #expect(isDone)
    }
    let after = try #require(try await tree.inode(file.id)?.version)
    let rows = [file.id, after.layers[run.lowerBound].inode] + old.map(\.inode)
    #expect(Set(writes.map(\.key)) == Set(rows.map { RowKey.inode($0) }))
    #expect(after.id == version.id && after.base == version.base)
    #expect(Array(after.layers[..<run.lowerBound]) == Array(version.layers[..<run.lowerBound]))
    #expect(
      Array(after.layers[(run.lowerBound + 1)...]) == Array(version.layers[run.upperBound...]))
    #expect(after.layers[run.lowerBound].content == merged.content)
    try tree.checkLayers()
  }

  @Test func onlyARunThatIsThereIsMerged() async throws {
    let tree = Tree()
    let file = try await tree.layered("a", 4)
    let ids = try #require(file.version?.layers)
    let other = try await tree.layered("b", 2)
    let others = try #require(other.version?.layers)
    var unknown = ids[3]
    unknown.inode = InodeID(9999)
    let absent: [[Layer]] = [
      [], [ids[1], ids[0]], [ids[0], ids[2]], [ids[3], unknown], others, [ids[3], others[0]],
      ids + [others[0]],
    ]
    let writes = try await tree.writes {
      for run in absent {
        let isDone = try await $0.merge(run, of: file.id, into: Tree.layer(over: nil))
        #expect(!isDone, "\(run)")
      }
      let isOfNone = try await $0.merge(ids, of: InodeID(9999), into: Tree.layer(over: nil))
      #expect(!isOfNone)
      // The root is not a file.
      let isOfRoot = try await $0.merge(ids, of: .root, into: Tree.layer(over: nil))
      #expect(!isOfRoot)
    }
    #expect(writes.isEmpty)
    // Somebody else was faster, or the file was replaced.
    let run = Array(ids[1...2])
    #expect(
      try await tree.run { try await $0.merge(run, of: file.id, into: Tree.layer(over: nil)) })
    #expect(
      try await !tree.run { try await $0.merge(run, of: file.id, into: Tree.layer(over: nil)) })
    _ = try await tree.publish(.whole(Tree.content()), to: file.id)
    #expect(
      try await !tree.run { try await $0.merge([ids[0]], of: file.id, into: Tree.layer(over: nil)) }
    )
    try tree.checkLayers()
  }

  /// A layer that is published meanwhile stays over the merged one.
  @Test func aMergeLeavesNewerLayers() async throws {
    let tree = Tree()
    let file = try await tree.layered("a", 3)
    let ids = try #require(file.version?.layers)
    let newer = try await tree.publish(.layer(Tree.layer(over: file.version)), to: file.id)
    #expect(
      try await tree.run { try await $0.merge(ids, of: file.id, into: Tree.layer(over: nil)) })
    let after = try #require(try await tree.inode(file.id)?.version)
    #expect(after.layers.count == 2 && after.layers[1] == newer.version?.layers[3])
    #expect(after.id == newer.version?.id)
    // And one over a version that was merged meanwhile is over the same bytes.
    let over = try await tree.publish(.layer(Tree.layer(over: newer.version)), to: file.id)
    #expect(Array(try #require(over.version?.layers.prefix(2))) == after.layers)
    try tree.checkLayers()
  }

  // MARK: Settling

  @Test func aSettledFileIsOneContentAgain() async throws {
    let tree = Tree()
    let file = try await tree.layered("a", 3)
    let version = try #require(file.version)
    let content = settled(version)
    let writes = try await tree.writes {
      let isDone = try await $0.settle(version, of: file.id, as: .whole(content))
      #expect(isDone)
    }
    let rows = version.layers.map { RowKey.inode($0.inode) }
    let entry = RowKey.entry(parent: .unsettled, name: file.id.unsettledName)
    #expect(Set(writes.map(\.key)) == Set(rows + [.inode(file.id), entry]))
    let after = try #require(try await tree.inode(file.id))
    #expect(after.version == Version(content) && after.version?.id == version.id)
    #expect(after.modified == file.modified && after.changed == file.changed)
    #expect(tree.format(of: file.id) == 1 && tree.unsettled.isEmpty)
    try tree.checkLayers()
    // Once is enough.
    #expect(
      try await !tree.run { try await $0.settle(version, of: file.id, as: .whole(content)) })
  }

  @Test func settlingLeavesNewerLayers() async throws {
    let tree = Tree()
    let file = try await tree.layered("a", 2)
    let version = try #require(file.version)
    let newer = try await tree.publish(.layer(Tree.layer(over: version)), to: file.id)
    let content = settled(version)
    #expect(try await tree.run { try await $0.settle(version, of: file.id, as: .whole(content)) })
    let after = try #require(try await tree.inode(file.id)?.version)
    #expect(after.base == content && after.id == newer.version?.id && after.md5 == nil)
    #expect(after.layers == [try #require(newer.version?.layers[2])])
    #expect(tree.unsettled.count == 1 && tree.format(of: file.id) == 2)
    try tree.checkLayers()
  }

  @Test func whatIsMadeOfOthersByNowIsNotSettled() async throws {
    let tree = Tree()
    let file = try await tree.layered("a", 3)
    let version = try #require(file.version)
    let settle = { (version: Version, id: InodeID) in
      let content = self.settled(version)
      return try await tree.run { try await $0.settle(version, of: id, as: .whole(content)) }
    }
    let other = try await tree.layered("b", 3)
    #expect(try await !settle(version, other.id))
    #expect(try await !settle(version, InodeID(9999)))
    // Another base; other layers; more layers than there are.
    #expect(try await !settle(version.made(of: Tree.content(), version.layers), file.id))
    #expect(try await !settle(version.made(of: nil, version.layers), file.id))
    #expect(try await !settle(version.made(of: version.base, Array(version.layers[1...])), file.id))
    let more = version.layers + [version.layers[0]]
    #expect(try await !settle(version.made(of: version.base, more), file.id))
    #expect(
      try await tree.run {
        try await $0.merge(Array(version.layers[0...1]), of: file.id, into: Tree.layer(over: nil))
      })
    #expect(try await !settle(version, file.id))
    try tree.checkLayers()
    _ = try await tree.publish(.whole(Tree.content()), to: file.id)
    #expect(try await !settle(version, file.id))
    try tree.checkLayers()
  }

  @Test func aFileWithHolesIsSettledAsOneLayer() async throws {
    let tree = Tree()
    let file = try await tree.layered("a", 3)
    let version = try #require(file.version)
    let (sparse, md5) = (Tree.layer(over: nil, bytes: 100), MD5Digest.of([1]))
    let newest = try await tree.publish(.layer(Tree.layer(over: version)), to: file.id)
    #expect(
      try await tree.run { try await $0.settle(version, of: file.id, as: .sparse(sparse, md5)) })
    // With a newer layer it is not the MD5 of all.
    let over = try #require(try await tree.inode(file.id)?.version)
    #expect(over.base == nil && over.layers.count == 2 && over.md5 == nil && !over.isSettled)
    #expect(over.layers[1] == newest.version?.layers[3] && over.id == newest.version?.id)
    #expect(tree.unsettled.count == 1)
    try tree.checkLayers()
    #expect(
      try await tree.run { try await $0.settle(over, of: file.id, as: .sparse(sparse, md5)) })
    let alone = try #require(try await tree.inode(file.id)?.version)
    #expect(alone.base == nil && alone.layers.count == 1 && alone.md5 == md5 && alone.isSettled)
    #expect(alone.id == over.id && alone.layers[0].content == sparse.content)
    #expect(tree.unsettled.isEmpty && tree.format(of: file.id) == 2)
    try tree.checkLayers()
    // It is changed like any other, and then listed again.
    let changed = try await tree.publish(.layer(Tree.layer(over: alone)), to: file.id)
    #expect(changed.version?.layers.count == 2 && changed.version?.md5 == nil)
    #expect(tree.unsettled.count == 1)
    try tree.checkLayers()
  }

  @Test func layersOverNothingAreSettled() async throws {
    let tree = Tree()
    let file = try await tree.layered("a", 2, base: nil)
    let version = try #require(file.version)
    let content = settled(version)
    #expect(try await tree.run { try await $0.settle(version, of: file.id, as: .whole(content)) })
    #expect(try await tree.inode(file.id)?.version == Version(content))
    try tree.checkLayers()
  }
}
