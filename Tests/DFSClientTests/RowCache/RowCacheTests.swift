import DFSCore
import Testing

@testable import DFSClient

@Suite struct RowCacheTests {
  private let view = View(round: 3, client: ClientID(7))
  private let dfs1 = ServerIndex(0)
  private func head(_ number: UInt64) -> Head { Head(view: view, number: number, digest: .empty) }
  private func file(_ id: UInt64) -> Inode {
    Inode(
      id: InodeID(id), kind: .regular, mode: 0o644, owner: 0, group: 0,
      time: Timestamp(nanoseconds: 0))
  }

  private func cache(limit: Int = 1000) -> RowCache {
    let cache = RowCache(limit: limit)
    for server in ServerIndex.all {
      cache.connected(server)
      cache.told(head(1), by: server, generation: cache.generation(of: server))
    }
    return cache
  }

  @Test func keepsWhatIsTheTruth() {
    let cache = cache()
    cache.keep([.inode(InodeID(5), file(5)), .inode(InodeID(6), nil)], at: head(1))
    #expect(cache.inode(InodeID(5)).value == file(5))
    #expect(cache.inode(InodeID(6)).isKnown && cache.inode(InodeID(6)).value == nil)
    #expect(!cache.inode(InodeID(7)).isKnown)
  }

  @Test func aPushRemovesAndBarsOlderAnswers() {
    let cache = cache()
    cache.keep([.inode(InodeID(5), file(5))], at: head(1))
    cache.pushed([.inode(InodeID(5))], head: head(2), by: dfs1)
    #expect(!cache.inode(InodeID(5)).isKnown)
    cache.keep([.inode(InodeID(5), file(5))], at: head(1))
    #expect(!cache.inode(InodeID(5)).isKnown)
    cache.keep([.inode(InodeID(5), file(5))], at: head(2))
    #expect(cache.inode(InodeID(5)).isKnown)
  }

  @Test func aConnectionThatTellsMoreThanIsKnownDropsEverything() {
    let cache = cache()
    cache.keep([.inode(InodeID(5), file(5))], at: head(1))
    cache.told(head(2), by: dfs1, generation: cache.generation(of: dfs1))
    #expect(cache.inode(InodeID(5)).isKnown, "all its pushes came before")
    cache.connected(dfs1)
    #expect(!cache.inode(InodeID(5)).isKnown, "a connection is new")
    cache.keep([.inode(InodeID(5), file(5))], at: head(2))
    cache.told(head(3), by: dfs1, generation: cache.generation(of: dfs1))
    #expect(!cache.inode(InodeID(5)).isKnown, "its first head is above what was heard of")
  }

  @Test func anAnswerOfAnEarlierConnectionProvesNothing() {
    let cache = cache()
    let earlier = cache.generation(of: dfs1)
    cache.disconnected(dfs1)
    cache.connected(dfs1)
    cache.keep([.inode(InodeID(5), file(5))], at: head(1))
    cache.told(head(1), by: dfs1, generation: earlier)
    cache.told(head(2), by: dfs1, generation: cache.generation(of: dfs1))
    #expect(!cache.inode(InodeID(5)).isKnown)
  }

  @Test func ownChangesReplaceWhatIsKept() throws {
    let cache = cache()
    let (parent, name) = (InodeID(4), try FileName("a"))
    var directory = file(4)
    directory.kind = .directory
    cache.keep(
      [.inode(parent, directory), .listing(parent, [:])], at: head(1))
    let made = Inode(
      id: InodeID(change: 2, index: 0), kind: .directory, mode: 0, owner: 0, group: 0,
      time: Timestamp(nanoseconds: 0))
    let writes = [
      made.row, RowWrite(.entry(parent: parent, name: name), RowValue(bytes: [], child: made.id)),
    ]
    let change = cache.begin(writes, as: head(2))
    #expect(!cache.now { $0.childInode(parent, name) }.isKnown)
    cache.keep([.entry(parent: parent, name, nil)], at: head(1))
    #expect(
      !cache.now { $0.childInode(parent, name) }.isKnown,
      "what was read before the change is not kept")
    change.commit(as: head(2))
    #expect(cache.now { $0.childInode(parent, name) }.value == made)
    #expect(cache.now { $0.listing(made.id) } == [])
    #expect(cache.attributes(made.id) == [:])
  }

  @Test func completeListingsKnowWhatIsNotThere() throws {
    let cache = cache()
    let (parent, name, other) = (InodeID(4), try FileName("a"), try FileName("b"))
    cache.keep(
      [.inode(InodeID(5), file(5)), .listing(parent, [name: InodeID(5)])], at: head(1))
    #expect(cache.now { $0.listing(parent) } == [DirectoryItem(name: name, inode: file(5))])
    #expect(
      cache.now { $0.childInode(parent, other) }.isKnown
        && cache.now { $0.childInode(parent, other) }.value == nil)
    cache.pushed([.entry(parent: parent, name: other)], head: head(2), by: dfs1)
    #expect(cache.now { $0.listing(parent) } == nil)
    #expect(!cache.now { $0.childInode(parent, other) }.isKnown)
    #expect(cache.now { $0.childInode(parent, name) }.value == file(5))
  }

  @Test func isBoundedAndForgetsTheOldest() {
    let cache = cache(limit: 100)
    for id in UInt64(1)...1000 {
      cache.keep([.inode(InodeID(id), file(id))], at: head(1))
      _ = cache.inode(InodeID(1))
    }
    let kept = (UInt64(1)...1000).count { cache.inode(InodeID($0)).isKnown }
    #expect(kept <= 100 && kept >= 80)
    #expect(cache.inode(InodeID(1)).isKnown && cache.inode(InodeID(1000)).isKnown)
  }

  /// Files that came and went filled the cache with notes that they are gone.
  @Test func whatIsRemovedTakesNoRoom() throws {
    var table = RowCacheTable(limit: 1000)
    let (parent, name) = (InodeID(4), try FileName("a"))
    table.keep(.listing(parent, [:]))
    let weight = table.weight
    for number in UInt64(1)...100 {
      let made = Inode(
        id: InodeID(change: number, index: 0), kind: .regular, mode: 0, owner: 0, group: 0,
        time: Timestamp(nanoseconds: 0))
      let entry = RowKey.entry(parent: parent, name: name)
      let making = [made.row, RowWrite(entry, RowValue(bytes: [], child: made.id))]
      table.begin(making)
      table.commit(making, number: number)
      #expect(table.child(parent, name).value == made.id && table.weight == weight + 2)
      let removing = [RowWrite(.inode(made.id), nil), RowWrite(entry, nil)]
      table.begin(removing)
      table.commit(removing, number: number + 1)
      #expect(table.child(parent, name).isKnown && table.child(parent, name).value == nil)
      #expect(table.weight == weight)
    }
  }

  @Test func largeAttributesCountAsManyRows() throws {
    var table = RowCacheTable(limit: 1000)
    let name = try AttributeName("user.large")
    for id in UInt64(1)...100 {
      table.keep(.attributes(InodeID(id), [name: Array(repeating: 1, count: 64 << 10)]))
      #expect(table.weight <= 1000)
    }
    #expect((UInt64(1)...100).count { table.attributes(InodeID($0)) != nil } <= 4)
  }
}
