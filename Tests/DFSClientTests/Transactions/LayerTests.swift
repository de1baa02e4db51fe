import DFSCore
import Testing

@testable import DFSClient

/// Files with layers in transactions.
@Suite struct LayerTests {
  private typealias Tree = TransactionTests.Tree

  private func refuses(
    _ code: DFSError.Code, at place: SourceLocation = #_sourceLocation,
    _ body: () async throws -> Void
  ) async {
    await TransactionTests().refuses(code, at: place, body)
  }

  // MARK: Writing

  @Test func aLayerIsWrittenWithARowOfItsOwn() async throws {
    let tree = Tree()
    let base = Tree.content(100)
    let file = try await tree.layered("a", 0, base: base)
    let (one, two) = (Tree.layer(over: file.version), Tree.content(5))
    let target = PublishTarget.inode(file.id, modified: Tree.time, changed: Tree.time)
    let first = try await tree.writes { _ = try await $0.publish(.layer(one), to: target) }
    let after = try #require(try await tree.inode(file.id))
    let layer = try #require(after.version?.layers.first)
    let entry = RowKey.entry(parent: InodeID(0), name: file.id.unsettledName)
    #expect(Set(first.map(\.key)) == [.inode(file.id), .inode(layer.inode), entry])
    #expect(first.count == 3)
    #expect(first.first { $0.key == entry }?.value == RowValue(bytes: [], child: file.id))
    #expect(after.version?.id == one.id && after.version?.base == base && after.size == 100)
    #expect(after.content == base && after.modified == Tree.time)
    #expect(layer.content == one.content && layer.index == one.index)
    #expect(layer.cut == 100 && layer.size == 100)
    let row = try #require(try await tree.inode(layer.inode))
    #expect(row.kind == .layer && row.parent == file.id && row.content == one.content)
    #expect(row.links == 0 && row.owner == file.owner && row.group == file.group)
    try tree.checkLayers()
    // Of the next one the entry is there already, and the row of the first stays.
    let next = NewLayer(
      id: .random(), content: two,
      patch: Patch(over: after.version, [LayerExtent(200..<205)], cut: 50, size: 205),
      index: .row([LayerExtent(200..<205)]))
    let second = try await tree.writes { _ = try await $0.publish(.layer(next), to: target) }
    let last = try #require(try await tree.inode(file.id)?.version)
    #expect(Set(second.map(\.key)) == [.inode(file.id), .inode(last.layers[1].inode)])
    #expect(second.count == 2 && last.layers[0] == layer && last.layers.count == 2)
    #expect(last.layers[1].content == two && last.layers[1].cut == 50 && last.size == 205)
    #expect(last.id == next.id && last.md5 == nil && last.base == base)
    try tree.checkLayers()
  }

  @Test func aLayerMayLieOverNothing() async throws {
    let tree = Tree()
    let file = try await tree.layered("a", 1, base: nil)
    #expect(file.version?.base == nil && file.version?.layers.count == 1 && file.content == nil)
    #expect(tree.table.rows[.inode(file.id)]?.value.content == nil)
    try tree.checkLayers()
    // Also as the content of a file that is made with it.
    let new = NewInode(kind: .regular, mode: 0o600, owner: 3, group: 4)
    let layer = NewVersion.layer(Tree.layer(over: nil))
    let named = try await tree.run {
      try await $0.publish(layer, to: .name(parent: .root, FileName("b"), new))
    }
    let id = try await tree.run { $0.reserveInode() }
    let reserved = Inode(
      id: id, kind: .regular, mode: 0o600, owner: 3, group: 4, links: 0, time: Tree.time)
    let nameless = try await tree.run {
      try await $0.publish(
        layer,
        to: .nameless(reserved, [:], modified: Tree.time, parent: .root, FileName("c")))
    }
    #expect(named.version?.layers.count == 1 && nameless.version?.layers.count == 1)
    #expect(tree.unsettled.count == 3)
    try tree.checkLayers()
  }

  @Test func layersHaveALimit() async throws {
    let tree = Tree()
    let file = try await tree.layered("a", Version.layersLimit)
    #expect(file.version?.layers.count == 120)
    await refuses(.noSpace) {
      _ = try await tree.publish(.layer(Tree.layer(over: file.version)), to: file.id)
    }
    #expect(try await tree.inode(file.id) == file)
    try tree.checkLayers()
    // A whole content may always be published, and a layer once there are fewer.
    let run = Array(try #require(file.version?.layers.dropFirst(3)))
    let merged = Tree.layer(over: nil)
    #expect(try await tree.run { try await $0.merge(run, of: file.id, into: merged) })
    let below = try await tree.inode(file.id)?.version
    _ = try await tree.publish(.layer(Tree.layer(over: below)), to: file.id)
    #expect(try await tree.inode(file.id)?.version?.layers.count == 5)
    try tree.checkLayers()
  }

  // MARK: Removing

  @Test func whatRemovesTheFileRemovesItsLayers() async throws {
    let tree = Tree()
    _ = try await tree.layered("a", 3)
    _ = try await tree.run { try await $0.unlink(.root, FileName("a")) }
    #expect(try tree.inodes(.layer).isEmpty && tree.unsettled.isEmpty)
    try tree.checkLayers()
    _ = try await tree.layered("b", 2)
    let whole = try await tree.layered("c", 0)
    try await tree.rename(.root, "c", .root, "b")
    #expect(try await tree.child(.root, "b")?.id == whole.id)
    #expect(try tree.inodes(.layer).isEmpty && tree.unsettled.isEmpty)
    try tree.checkLayers()
    // Over one that is settled, a file comes with its layers.
    let moved = try await tree.layered("d", 2)
    try await tree.rename(.root, "d", .root, "b")
    #expect(try await tree.child(.root, "b")?.version == moved.version)
    #expect(try tree.inodes(.layer).count == 2)
    try tree.checkLayers()
  }

  @Test func aWholeContentReplacesAllLayers() async throws {
    let tree = Tree()
    let file = try await tree.layered("a", 3)
    let content = Tree.content()
    let target = PublishTarget.inode(file.id, modified: Tree.time, changed: Tree.time)
    let writes = try await tree.writes { _ = try await $0.publish(.whole(content), to: target) }
    let layers = try #require(file.version?.layers.map { RowKey.inode($0.inode) })
    let entry = RowKey.entry(parent: .unsettled, name: file.id.unsettledName)
    #expect(Set(writes.map(\.key)) == Set(layers + [.inode(file.id), entry]))
    #expect(writes.filter { $0.value == nil }.count == 4 && writes.count == 5)
    #expect(try await tree.inode(file.id)?.content == content)
    #expect(tree.format(of: file.id) == 1)
    try tree.checkLayers()
  }

  @Test func layersStayAsLongAsThereIsAName() async throws {
    let tree = Tree()
    let file = try await tree.layered("a", 2)
    let linked = try await tree.writes {
      _ = try await $0.link(file.id, to: .root, FileName("b"))
    }
    #expect(linked.count == 3, "the file, the entry and the directory")
    let unlinked = try await tree.writes { _ = try await $0.unlink(.root, FileName("a")) }
    #expect(unlinked.count == 3)
    #expect(try await tree.child(.root, "b")?.version == file.version)
    try tree.checkLayers()
    try await tree.rename(.root, "b", .root, "c")
    try tree.checkLayers()
    _ = try await tree.run { try await $0.unlink(.root, FileName("c")) }
    #expect(try tree.inodes(.layer).isEmpty)
    try tree.checkLayers()
  }

  // MARK: Attributes and copies

  @Test func attributesChangeTheFilesRowOnly() async throws {
    let tree = Tree()
    let file = try await tree.layered("a", 2)
    var change = AttributeChange()
    (change.mode, change.owner) = (0o600, 77)
    let writes = try await tree.writes { [change] in
      _ = try await $0.setAttributes(file.id, change)
    }
    #expect(writes.map(\.key) == [.inode(file.id)])
    let name = try AttributeName("user.x")
    let extended = try await tree.writes {
      try await $0.setExtendedAttribute(file.id, name, [1], .set)
    }
    #expect(Set(extended.map(\.key)) == [.inode(file.id), .attribute(file.id, name: name)])
    #expect(try await tree.inode(file.id)?.version == file.version)
    try tree.checkLayers()
  }

  @Test func aLayersCopiesAreNotedInBothRows() async throws {
    let tree = Tree()
    let file = try await tree.layered("a", 3)
    let layer = try #require(file.version?.layers[1])
    let elsewhere = Placement(holders: Array(repeating: .all, count: 4))
    let writes = try await tree.writes {
      let isPlaced = try await $0.place(layer.inode, layer.content, elsewhere)
      #expect(isPlaced)
    }
    #expect(Set(writes.map(\.key)) == [.inode(file.id), .inode(layer.inode)])
    let row = writes.first { $0.key == .inode(layer.inode) }
    #expect(row?.value?.content?.placement == elsewhere)
    let after = try #require(try await tree.inode(file.id)?.version)
    #expect(after.layers[1].content.placement == elsewhere)
    #expect(after.id == file.version?.id && after.base == file.version?.base)
    #expect(after.layers[0] == file.version?.layers[0])
    #expect(after.layers[2] == file.version?.layers[2])
    try tree.checkLayers()
    // It is elsewhere by now, or not the content, or gone.
    let again = try await tree.writes {
      let isElsewhere = try await $0.place(layer.inode, layer.content, elsewhere)
      #expect(!isElsewhere)
      let other = after.layers[2].content
      let isOther = try await $0.place(layer.inode, other, elsewhere)
      #expect(!isOther)
      let isGone = try await $0.place(InodeID(12345), other, elsewhere)
      #expect(!isGone)
    }
    #expect(again.isEmpty)
    // Of the base, in the file's row alone.
    let base = try #require(after.base)
    let placed = try await tree.writes {
      let isPlaced = try await $0.place(file.id, base, elsewhere)
      #expect(isPlaced)
    }
    #expect(placed.map(\.key) == [.inode(file.id)])
    #expect(placed.first?.value?.content?.placement == elsewhere)
    #expect(try await tree.inode(file.id)?.version?.layers == after.layers)
    try tree.checkLayers()
  }

  @Test func theKeeperOfAContentIsWhoseRowAsksForIt() async throws {
    let tree = Tree()
    let file = try await tree.layered("a", 2)
    let version = try #require(file.version)
    for layer in version.layers { #expect(file.keeper(of: layer.content) == layer.inode) }
    #expect(file.keeper(of: try #require(version.base)) == file.id)
    var placed = version
    let elsewhere = Placement(holders: Array(repeating: .all, count: 4))
    placed.place(version.layers[1].content, elsewhere)
    #expect(placed.layers[1].content.placement == elsewhere)
    #expect(placed.layers[0] == version.layers[0] && placed.base == version.base)
  }

  /// What another operation of the same change drops cannot travel with it.
  @Test func operationsThatDropALayerDoNotJoinTheOneThatMadeIt() async throws {
    let tree = Tree()
    let file = try await tree.layered("a", 1)
    let other = try await tree.layered("b", 1)
    let layer = Tree.layer(over: file.version)
    let target = PublishTarget.inode(file.id, modified: Tree.time, changed: Tree.time)
    var transaction = Transaction(number: tree.number + 1, time: Tree.time, source: tree.table)
    let made = try await transaction.publish(.layer(layer), to: target)
    let before = transaction
    _ = try await transaction.unlink(.root, FileName("a"))
    #expect(!transaction.mayJoin(before))
    transaction = before
    let run = try #require(made.version?.layers)
    _ = try await transaction.merge(run, of: file.id, into: Tree.layer(over: nil))
    #expect(!transaction.mayJoin(before))
    transaction = before
    // One more layer over it drops nothing, nor does what happens to another file.
    _ = try await transaction.publish(.layer(Tree.layer(over: made.version)), to: target)
    _ = try await transaction.unlink(.root, FileName("b"))
    _ = other
    #expect(transaction.mayJoin(before))
    tree.number += 1
    tree.table.perform(transaction.writes, number: tree.number)
    try tree.checkLayers()
  }
}
