import DFSCore
import DFSReplication
import DFSSystem
import DFSTestSupport
import DFSWire
import Synchronization
import Testing

@testable import DFSClient

/// Reading beside changes of the same client: many programs write and read on one mount.
@Suite struct OwnChangesTests {
  private let view = View(round: 3, client: ClientID(7))
  private func head(_ number: UInt64) -> Head { Head(view: view, number: number, digest: .empty) }

  private func inode(_ id: InodeID, _ kind: FileKind) -> Inode {
    Inode(id: id, kind: kind, mode: 0, owner: 0, group: 0, time: Timestamp(nanoseconds: 0))
  }

  /// A cache that knows all of directory 4, which is empty.
  private func cache() -> RowCache {
    let cache = RowCache(limit: 1000)
    for server in ServerIndex.all {
      cache.connected(server)
      cache.told(head(1), by: server, generation: cache.generation(of: server))
    }
    let directory = InodeID(4)
    cache.keep(
      [.inode(directory, inode(directory, .directory)), .listing(directory, [:])], at: head(1))
    return cache
  }

  /// Directory 4 gets a file 'a'.
  private func making() throws -> (made: Inode, writes: [RowWrite]) {
    let made = inode(InodeID(change: 2, index: 0), .regular)
    let entry = RowKey.entry(parent: InodeID(4), name: try FileName("a"))
    let writes = [
      made.row, RowWrite(entry, RowValue(bytes: [], child: made.id)),
      inode(InodeID(4), .directory).row,
    ]
    return (made, writes)
  }

  @Test func onlyWhatAnOpenChangeWritesIsUnknown() throws {
    let cache = cache()
    let (a, b) = (try FileName("a"), try FileName("b"))
    let (made, writes) = try making()
    let change = cache.begin(writes, as: head(2))
    #expect(!cache.now { $0.child(InodeID(4), a) }.isKnown)
    #expect(!cache.inode(InodeID(4)).isKnown)
    #expect(cache.now { $0.isDirectory(InodeID(4)) } == true)
    #expect(cache.now { $0.child(InodeID(4), b).isKnown && $0.child(InodeID(4), b).value == nil })
    change.commit(as: head(2))
    #expect(cache.now { $0.listing(InodeID(4)) }?.map(\.inode) == [made])
    #expect(cache.now { $0.child(InodeID(4), b).isKnown })
  }

  @Test func whatAnAbandonedChangeWroteIsNotKnown() throws {
    let cache = cache()
    let writes = try making().writes
    cache.begin(writes, as: head(2)).abandon()
    #expect(!cache.inode(InodeID(4)).isKnown)
    let name = try FileName("a")
    #expect(!cache.now { $0.child(InodeID(4), name) }.isKnown)
    #expect(cache.now { $0.listing(InodeID(4)) } == nil)
  }

  @Test func whatOthersWroteAfterItIsNotKnown() throws {
    let cache = cache()
    let writes = try making().writes
    let change = cache.begin(writes, as: head(2))
    let later = Head(view: View(round: 4, client: ClientID(8)), number: 3, digest: .empty)
    cache.pushed([.inode(InodeID(9))], head: later, by: ServerIndex(0))
    change.commit(as: head(2))
    #expect(!cache.inode(InodeID(4)).isKnown)
    #expect(cache.now { $0.listing(InodeID(4)) } == nil)
  }

  @Test func whoAsksForWhatIsBeingWrittenWaitsForItsEnd() async throws {
    let cache = cache()
    let (made, writes) = try making()
    let name = try FileName("a")
    let change = cache.begin(writes, as: head(2))
    let waiting = Task {
      await cache.look(within: .seconds(30), in: SystemEnvironment()) {
        $0.childInode(InodeID(4), name)
      }
    }
    for _ in 0..<10 { await Task.yield() }
    change.commit(as: head(2))
    let look = await waiting.value
    #expect(look.known.value == made && cache.isUndisturbed(since: look))
    let open = cache.begin(writes, as: head(3))
    let hurried = await cache.look(within: .milliseconds(10), in: SystemEnvironment()) {
      $0.childInode(InodeID(4), name)
    }
    #expect(!hurried.known.isKnown, "its patience is over before the change is")
    open.abandon()
  }

  /// Each file that is made is looked for before, as programs do; with several at once the servers
  /// disagree all the time, and that was taken for what another client had left half done.
  @Test func manyWhoMakeFilesKeepTheView() async throws {
    let cluster = MemoryCluster()
    let client = cluster.client()
    client.set { $0.delayMicroseconds = 500 }
    let namespace = client.namespace()
    let directory = try await create(namespace, "d", .directory).id
    let rows = client.rowsAsked
    try await withThrowingTaskGroup(of: Void.self) { group in
      for worker in 0..<4 {
        group.addTask {
          for index in 0..<25 {
            let name = try FileName("f\(worker)-\(index)")
            await #expect(throws: DFSError.self) {
              try await namespace.lookup(directory, name, .current)
            }
            _ = try await create(namespace, "\(name)", in: directory)
            _ = try await namespace.lookup(directory, name, .current)
          }
        }
      }
      try await group.waitForAll()
    }
    // Those that wait for the same turn become one change.
    let head = try #require(namespace.driver.stance.leading)
    #expect((26...101).contains(head.number))
    try await eventually("all have it") { cluster.servers.allSatisfy { $0.head == head } }
    #expect(head.view.round == 1)
    #expect(client.rowsAsked == rows, "all of it is known")
  }

  /// A server that lagged gave rows that nothing can prove any more; what was asked for later was not
  /// waited for.
  @Test func rowsOfALaggingServerDoNotEndARead() async throws {
    let requests = SlowRows()
    let servers = ServerPool(requests: requests, cache: RowCache(limit: 100))
    var reading = QuorumRead(
      servers: servers, queries: [.inode(.root)], hedge: .seconds(10))
    requests.set(rows: head(6), others: head(7))
    guard case .undecided = await reading.attempt() else {
      Issue.record("rows that three servers have moved on from are not the truth")
      return
    }
    requests.set(rows: head(7), others: head(7))
    guard case .truth(let rows) = await reading.attempt() else {
      Issue.record("all servers agree")
      return
    }
    #expect(rows.head == head(7))
  }
}

/// Four servers that tell their heads before anybody gets rows.
private final class SlowRows: ServerRequests {
  private let heads = Mutex((rows: Head.blank, others: Head.blank))
  private let pings = Mutex(0)

  func set(rows: Head, others: Head) {
    pings.withLock { $0 = 0 }
    heads.withLock { $0 = (rows, others) }
  }

  var reachable: ServerSet { .all }
  func states() -> [ServerState] { [] }

  func exchange(
    _ server: ServerIndex, _ request: Request, timeout: Duration
  ) async throws(DFSError) -> Reply {
    let heads = heads.withLock { $0 }
    guard case .query(let asked) = request else {
      pings.withLock { $0 += 1 }
      return Reply.Pong(heads.others).reply
    }
    while pings.withLock({ $0 }) < Limits.quorum { await Task.yield() }
    // The heads are on their way to the reader; it hears of them one after the other.
    try? await Task.sleep(for: .milliseconds(20))
    let answer = QueryAnswer(rows: [], isPartial: false)
    return Reply.Answers(asked.queries.map { _ in answer }, head: heads.rows).reply
  }
}
