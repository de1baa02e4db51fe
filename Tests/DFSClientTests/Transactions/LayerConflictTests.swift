import DFSCore
import Testing

@testable import DFSClient

/// Layers over a version that the file does not have any more.
@Suite struct LayerConflictTests {
  private typealias Tree = TransactionTests.Tree

  private func isRefused(
    _ new: NewVersion, _ id: InodeID, _ opened: OpenedVersion?, _ tree: Tree,
    own: Set<VersionID> = [], at place: SourceLocation = #_sourceLocation
  ) async throws {
    let rows = tree.table.rows
    await #expect(throws: OtherVersionBelow.self, sourceLocation: place) {
      _ = try await tree.publish(new, to: id, opened, own: own)
    }
    #expect(tree.table.rows == rows, sourceLocation: place)
  }

  @Test func bothHaveAllTheirLayersAndNoneOfTheOther() async throws {
    let tree = Tree()
    let file = try await tree.layered("a", 2)
    let below = try #require(file.version)
    let opened = try tree.opened("a", below)
    let theirs = try await tree.publish(.layer(Tree.layer(over: below)), to: file.id, opened)
    let mine = Tree.layer(over: below, bytes: 9)
    let won = try await tree.publish(.layer(mine), to: file.id, opened)
    let version = try #require(won.version)
    #expect(won.id == file.id && version.id == mine.id && version.base == below.base)
    #expect(version.layers.map(\.content) == below.layers.map(\.content) + [mine.content])
    let kept = try #require(try await tree.kept("a"))
    let other = try #require(kept.version)
    #expect(other.id == theirs.version?.id && other.base == below.base)
    #expect(other.layers.map(\.content) == theirs.version?.layers.map(\.content))
    #expect(other.layers.map(\.cut) == theirs.version?.layers.map(\.cut))
    // All rows are new: those that were there were the other's.
    let (one, two) = (Set(version.layers.map(\.inode)), Set(other.layers.map(\.inode)))
    let before = Set(try #require(theirs.version?.layers.map(\.inode)))
    #expect(one.count == 3 && two.count == 3 && before.count == 3)
    #expect(one.isDisjoint(with: two) && before.isDisjoint(with: one.union(two)))
    #expect(try tree.inodes(.layer).count == 6 && tree.unsettled.count == 2)
    try tree.checkLayers()
  }

  @Test func theOtherOneWroteAWholeContent() async throws {
    let tree = Tree()
    let file = try await tree.layered("a", 1)
    let below = try #require(file.version)
    let opened = try tree.opened("a", below)
    let theirs = Tree.content()
    _ = try await tree.publish(.whole(theirs), to: file.id, opened)
    let mine = Tree.layer(over: below)
    // No row asks for what is below any more: servers may be removing it.
    try await isRefused(.layer(mine), file.id, opened, tree)
    let whole = Tree.content()
    _ = try await tree.publish(.whole(whole), to: file.id, opened)
    #expect(try await tree.kept("a")?.version == Version(theirs))
    try tree.checkLayers()
  }

  @Test func aWholeContentWinsOverLayers() async throws {
    let tree = Tree()
    let file = try await tree.layered("a", 1)
    let opened = try tree.opened("a", file.version)
    let theirs = try await tree.publish(.layer(Tree.layer(over: file.version)), to: file.id, opened)
    let mine = Tree.content()
    let won = try await tree.publish(.whole(mine), to: file.id, opened)
    #expect(won.version == Version(mine))
    let kept = try #require(try await tree.kept("a"))
    #expect(kept.version?.id == theirs.version?.id && kept.version?.layers.count == 2)
    #expect(kept.version?.base == theirs.version?.base)
    #expect(tree.unsettled.values.map { $0 } == [kept.id])
    try tree.checkLayers()
  }

  /// A sparse version that is settled is kept as such.
  @Test func whatIsKeptStaysSettled() async throws {
    let tree = Tree()
    let file = try await tree.layered("a", 1)
    let opened = try tree.opened("a", file.version)
    let theirs = try await tree.publish(.layer(Tree.layer(over: file.version)), to: file.id, opened)
    let (sparse, md5) = (Tree.layer(over: nil, bytes: 100), MD5Digest.of([1]))
    let version = try #require(theirs.version)
    #expect(
      try await tree.run { try await $0.settle(version, of: file.id, as: .sparse(sparse, md5)) })
    _ = try await tree.publish(.whole(Tree.content()), to: file.id, opened)
    let kept = try #require(try await tree.kept("a"))
    #expect(kept.version?.md5 == md5 && kept.version?.isSettled == true)
    #expect(try tree.inodes(.layer).count == 1)
    #expect(tree.unsettled.isEmpty)
    try tree.checkLayers()
  }

  @Test func whatWasWrittenToARemovedFileIsStoredAsAWhole() async throws {
    let tree = Tree()
    let file = try await tree.layered("a", 2)
    let below = try #require(file.version)
    let attributes = NewInode(kind: .regular, mode: 0o640, owner: 7, group: 8)
    _ = try await tree.run { try await $0.unlink(.root, FileName("a")) }
    let mine = Tree.layer(over: below)
    let opened = try tree.opened("a", below, attributes)
    try await isRefused(.layer(mine), file.id, opened, tree)
    let whole = Tree.content()
    let kept = try await tree.publish(.whole(whole), to: file.id, opened)
    #expect(kept.id != file.id && kept.owner == 7 && kept.content == whole)
    #expect(try await tree.kept("a") == kept)
    #expect(tree.unsettled.isEmpty)
    try tree.checkLayers()
    // It goes on there.
    let next = Tree.layer(over: kept.version)
    let after = try await tree.publish(
      .layer(next), to: kept.id, try tree.opened("a", kept.version, attributes))
    #expect(after.id == kept.id && after.version?.layers.count == 1)
    try tree.checkLayers()
    // Where this client removed it, nothing is kept.
    await TransactionTests().refuses(.staleHandle) {
      _ = try await tree.publish(.whole(whole), to: file.id, try tree.opened("a", below))
    }
  }

  /// The change was performed, but its client was not told: what it writes again lies over what it had opened, and
  /// nothing is kept.
  @Test func whatOneWroteOneselfIsNoConflict() async throws {
    let tree = Tree()
    let file = try await tree.layered("a", 1)
    let below = try #require(file.version)
    let opened = try tree.opened("a", below)
    let first = Tree.layer(over: below)
    _ = try await tree.publish(.layer(first), to: file.id, opened)
    let again = Tree.layer(over: below)
    let twice = try await tree.publish(.layer(again), to: file.id, opened, own: [first.id])
    #expect(twice.version?.id == again.id)
    #expect(twice.version?.contents == below.contents + [again.content])
    #expect(try await tree.kept("a") == nil && tree.entries.count == 1)
    try tree.checkLayers()
    // Of somebody else it is one.
    let other = Tree.layer(over: below)
    _ = try await tree.publish(.layer(other), to: file.id, opened, own: [first.id])
    #expect(try await tree.kept("a")?.version?.id == again.id)
    try tree.checkLayers()
  }

  /// Lines that two clients append go behind each other, and none is there twice.
  @Test func whatIsAppendedGoesBehindWhatOthersAppended() async throws {
    let tree = Tree()
    let file = try await tree.layered("a", 1)
    let below = try #require(file.version)
    let opened = try tree.opened("a", below)
    func line(_ bytes: UInt64) -> NewLayer {
      let extents = [LayerExtent(below.size..<below.size + bytes)]
      let patch = Patch(
        over: below, extents, cut: below.size, size: below.size + bytes, isAppended: true)
      return NewLayer(
        id: .random(), content: Tree.content(bytes), patch: patch, index: .row(extents))
    }
    let (one, two) = (line(5), line(7))
    _ = try await tree.publish(.layer(one), to: file.id, opened)
    let both = try #require(try await tree.publish(.layer(two), to: file.id, opened).version)
    #expect(both.size == below.size + 12 && both.layers.last?.cut == below.size + 5)
    #expect(both.layers.last?.index == .row([LayerExtent(below.size + 5..<below.size + 12)]))
    #expect(try await tree.kept("a") == nil)
    // Perhaps it was appended already, when nobody was told.
    let again = line(7)
    let own: Set = [two.content.id]
    _ = try await tree.publish(.layer(again), to: file.id, opened, own: own)
    #expect(try await tree.kept("a")?.version?.id == both.id, "it is a conflict then")
    try tree.checkLayers()
    // A whole content that was only appended to is not published over what others wrote.
    try await isRefused(
      .whole(Tree.content(), isAppended: true), file.id, opened, tree)
  }

  /// Merging and settling change what a version is made of, and are no conflict.
  @Test func whatHappensInTheBackgroundIsNoConflict() async throws {
    let tree = Tree()
    let file = try await tree.layered("a", 3)
    let below = try #require(file.version)
    let opened = try tree.opened("a", below)
    #expect(
      try await tree.run {
        try await $0.merge(
          below.layers, of: file.id, into: Tree.layer(over: nil))
      })
    let after = try await tree.publish(.layer(Tree.layer(over: below)), to: file.id, opened)
    #expect(after.version?.layers.count == 2)
    let version = try #require(after.version)
    let content = Content(
      id: version.id, size: version.size, md5: .of([9]), placement: Placement(md5: .of([9])),
      partDigests: PartIndex.all.map { _ in BlockChecksum(0) })
    #expect(try await tree.run { try await $0.settle(version, of: file.id, as: .whole(content)) })
    let last = try await tree.publish(
      .layer(Tree.layer(over: version)), to: file.id, try tree.opened("a", version))
    #expect(last.content == content && last.version?.layers.count == 1)
    #expect(try await tree.kept("a") == nil)
    try tree.checkLayers()
  }

  @Test func manyLayersAreKeptTwice() async throws {
    let tree = Tree()
    let file = try await tree.layered("a", Version.layersLimit - 1)
    let below = try #require(file.version)
    let opened = try tree.opened("a", below)
    _ = try await tree.publish(.layer(Tree.layer(over: below)), to: file.id, opened)
    let won = try await tree.publish(.layer(Tree.layer(over: below)), to: file.id, opened)
    #expect(won.version?.layers.count == Version.layersLimit)
    #expect(try await tree.kept("a")?.version?.layers.count == Version.layersLimit)
    try tree.checkLayers()
    // One more is too many.
    let over = NewVersion.layer(Tree.layer(over: won.version))
    let rows = tree.table.rows
    await TransactionTests().refuses(.noSpace) {
      _ = try await tree.publish(over, to: file.id, try tree.opened("a", won.version))
    }
    #expect(tree.table.rows == rows)
    #expect(try await tree.inode(file.id) == won)
  }

  @Test func aLayerOverNothingTakesThePlaceOfSomething() async throws {
    let tree = Tree()
    let file = try await tree.layered("a", 0)
    let opened = try tree.opened("a", nil)
    let won = try await tree.publish(.layer(Tree.layer(over: nil)), to: file.id, opened)
    #expect(won.content == nil && won.version?.layers.count == 1)
    #expect(try await tree.kept("a")?.version == file.version)
    try tree.checkLayers()
  }
}
