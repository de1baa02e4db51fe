import DFSCore
import Testing

@testable import DFSClient

/// Layers of a file that is not what it was when they were made.
extension TransactionTests {
  private func layer(_ text: String, over below: Version?) -> NewLayer {
    let content = version(text)
    let extents = [LayerExtent(0..<content.size)]
    let size = max(content.size, below?.size ?? 0)
    return NewLayer(
      id: .random(), content: content,
      patch: Patch(over: below, extents, cut: below?.size ?? 0, size: size), index: .row(extents))
  }

  /// A file with a base and two layers.
  private func layeredFile(in tree: Tree) async throws -> Inode {
    let new = NewInode(kind: .regular, mode: 0o640, owner: 3, group: 4)
    let name = try FileName("a")
    var file = try await tree.run {
      try await $0.publish(.whole(version("the base")), to: .name(parent: .root, name, new))
    }
    for text in ["one", "two"] { file = try await patch(file, text, in: tree) }
    return file
  }

  private func patch(_ file: Inode, _ text: String, in tree: Tree) async throws -> Inode {
    let new = layer(text, over: file.version)
    return try await publish(.layer(new), to: file, in: tree)
  }

  private func publish(
    _ new: NewVersion, to file: Inode, own: Set<VersionID> = [], in tree: Tree
  ) async throws -> Inode {
    let time = Timestamp(nanoseconds: 77)
    return try await tree.run {
      try await $0.publish(new, to: .inode(file.id, modified: time, changed: time), own: own)
    }
  }

  @Test func aLayerLiesOverWhatItWasWrittenOverThoughAnEarlierTryOfOursIsThere() async throws {
    let tree = Tree()
    let file = try await layeredFile(in: tree)
    let below = try #require(file.version)
    let uncertain = try await patch(file, "uncertain", in: tree)
    let own = [try #require(uncertain.version?.id)] as Set
    let new = layer("new", over: below)
    let now = try await publish(.layer(new), to: file, own: own, in: tree)
    #expect(now.version?.contents == below.contents + [new.content])
    let rows = Set(try #require(now.version).layers.map(\.inode))
    #expect(rows.isDisjoint(with: below.layers.map(\.inode)))
  }

  @Test func whatTheFileHasLetGoOfIsNotAskedForAgain() async throws {
    let tree = Tree()
    let file = try await layeredFile(in: tree)
    let other = try await publish(.whole(version("other")), to: file, in: tree)
    await #expect(throws: OtherVersionBelow.self) {
      _ = try await publish(.layer(layer("new", over: file.version)), to: file, in: tree)
    }
    #expect(try await tree.inode(file.id) == other)
  }

  @Test func onlyTheSameLayersAreMergedThoughNumbersComeAgain() async throws {
    let tree = Tree()
    let (before, number) = (tree.table, tree.number)
    let lost = try await layeredFile(in: tree)
    // The servers lose these changes, and take others under the same numbers.
    (tree.table, tree.number) = (before, number)
    let file = try await layeredFile(in: tree)
    let (gone, there) = (try #require(lost.version), try #require(file.version))
    #expect(gone.layers.map(\.inode) == there.layers.map(\.inode))
    let merged = layer("merged", over: nil)
    func merge(_ run: [Layer]) async throws -> Bool {
      try await tree.run { try await $0.merge(run, of: file.id, into: merged) }
    }
    #expect(try await !merge(gone.layers))
    #expect(try await !merge(there.layers.reversed()))
    #expect(try await merge(there.layers))
  }

  @Test func onlyTheSameLayersAreSettledThoughNumbersComeAgain() async throws {
    let tree = Tree()
    let file = try await layeredFile(in: tree)
    var other = try #require(file.version)
    other.layers[1].content = version("other bytes of the same number")
    let whole = version("settled")
    let stale = other
    #expect(try await !tree.run { try await $0.settle(stale, of: file.id, as: .whole(whole)) })
    let version = try #require(file.version)
    #expect(try await tree.run { try await $0.settle(version, of: file.id, as: .whole(whole)) })
  }

  /// Settled, it would name contents that the first file has let go of by then, or the reverse.
  @Test func aCopyOfAFileWithLayersIsAnotherVersion() async throws {
    let tree = Tree()
    let file = try await layeredFile(in: tree)
    let version = try #require(file.version)
    let (id, new) = (VersionID.random(), NewInode(kind: .regular, mode: 0o640, owner: 3, group: 4))
    let target = PublishTarget.name(parent: .root, try FileName("copy"), new)
    let copy = try await tree.run {
      try await $0.publish(try await $0.shared(version, of: file.id, as: id), to: target)
    }
    #expect(copy.version?.id == id && copy.version?.contents == version.contents)
    let rows = Set(try #require(copy.version).layers.map(\.inode))
    #expect(rows.isDisjoint(with: version.layers.map(\.inode)))
    _ = try await publish(.whole(self.version("other")), to: file, in: tree)
    await #expect(throws: OtherVersionBelow.self) {
      _ = try await tree.run { try await $0.shared(version, of: file.id, as: id) }
    }
  }
}
