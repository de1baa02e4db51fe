import DFSCore
import DFSReplication
import DFSTestSupport
import DFSWire
import Testing

@testable import DFSClient

/// What one server alone says, when the others would lose most of what they have by it.
@Suite(.timeLimit(.minutes(2))) struct LoneTruthTests {
  private let cluster = MemoryCluster()

  /// Names and inodes on all four servers.
  private func fill(_ count: Int) async throws {
    let namespace = cluster.client().namespace()
    for index in 0..<count { _ = try await create(namespace, "f\(index)") }
    try await eventually("all have it") { Set(cluster.servers.map(\.head)).count == 1 }
    await namespace.finish()
  }

  private func laterHead(by changes: UInt64 = 500) -> Head {
    let head = cluster[1].head
    let view = View(
      round: head.view.round + 5, client: ClientID(9), namespace: head.view.namespace)
    return Head(view: view, number: head.number + changes, digest: .empty)
  }

  /// One that the fourth server must be heard by: of the others one cannot be reached.
  private func client() -> Namespace {
    let client = cluster.client {
      $0.callTimeout = .seconds(4)
      $0.policy = .quorum
    }
    client.set { $0.down = ServerSet([ServerIndex(2)]) }
    return client.namespace()
  }

  private func isUnchanged(_ rows: [RowKey: Row]) -> Bool {
    cluster.servers.prefix(3).allSatisfy { $0.rows == rows }
  }

  private func error(of namespace: Namespace) async -> DFSError? {
    do {
      _ = try await create(namespace, "new")
      return nil
    } catch {
      return error as? DFSError
    }
  }

  /// It emptied the other three.
  @Test func aLaterHeadWithoutRowsEmptiesNobody() async throws {
    try await fill(20)
    let rows = cluster[1].rows
    cluster[4].pretend(laterHead(), rows: [:], log: [])
    let error = await error(of: client())
    #expect(error?.code == .damaged)
    let words = error?.message ?? "done"
    #expect(words.contains("DFS4 alone") && words.contains("--accept-loss"), "\(words)")
    let isUnchanged = isUnchanged(rows)
    #expect(isUnchanged)
    // Three agree: that is still the truth to whoever reads.
    let reader = cluster.client().namespace()
    for _ in 0..<8 {
      let count = try await names(reader).count
      #expect(count == 20)
    }
    // Without it the others go on, and transfer it.
    cluster[4].becomeBlank()
    _ = try await create(reader, "new")
    try await eventually("DFS4 is refilled") { cluster[4].head == cluster[1].head }
    let isRefilled = cluster[4].rows == cluster[1].rows && cluster[4].rows.count > rows.count
    #expect(isRefilled)
  }

  /// The same with changes that remove everything, which need no transfer.
  @Test func changesThatRemoveEverythingAreNotCarriedOn() async throws {
    try await fill(20)
    let rows = cluster[1].rows
    let head = cluster[1].head
    let change = Change(
      id: ChangeID(client: ClientID(9), sequence: 1), writes: rows.keys.map { RowWrite($0, nil) })
    let entry = LogEntry(number: head.number + 1, change: change, digest: .empty)
    cluster[4].pretend(laterHead(by: 1), rows: [:], log: cluster[4].entries + [entry])
    let words = await error(of: client())?.message ?? "done"
    #expect(words.contains("DFS4 alone"), "\(words)")
    let isUnchanged = isUnchanged(rows)
    #expect(isUnchanged)
  }

  /// Rows of other names do not stand for those that are gone.
  @Test func otherRowsDoNotCount() async throws {
    try await fill(20)
    let rows = cluster[1].rows
    var others: [RowKey: Row] = [:]
    for index in 0..<200 {
      let key = RowKey.entry(parent: .root, name: try FileName("junk\(index)"))
      others[key] = Row(key: key, change: 1, value: RowValue(bytes: [], child: InodeID(99)))
    }
    cluster[4].pretend(laterHead(), rows: others, log: [])
    for server in cluster.servers { server.limit(pageRows: 7) }
    let words = await error(of: client())?.message ?? "done"
    #expect(words.contains("DFS4 alone"), "\(words)")
    let isUnchanged = isUnchanged(rows)
    #expect(isUnchanged)
  }

  @Test func aPersonCanSayThatItIsRight() async throws {
    try await fill(20)
    cluster[4].pretend(laterHead(), rows: [:], log: [])
    let namespace = client()
    await namespace.driver.acceptLoss()
    _ = try await create(namespace, "new")
    let heads = { Set([1, 2, 4].map { cluster[$0].head }) }
    try await eventually("three are even") { heads().count == 1 }
    let found = try await names(namespace)
    #expect(found == ["new"])
  }

  /// A client that dies leaves its last change on one server, and that is taken up.
  @Test func oneChangeIsTakenUp() async throws {
    try await fill(2)
    let head = cluster[1].head
    let change = Change(
      id: ChangeID(client: ClientID(9), sequence: 1),
      writes: [RowWrite(.entry(parent: .root, name: try FileName("f0")), nil)])
    let request = NamespaceRequest.apply(head.view, number: head.number + 1, change)
    _ = cluster[2].handle(.namespace(.init(request)), from: ClientID(9))
    let namespace = client()
    _ = try await create(namespace, "new")
    #expect(try await names(namespace) == ["f1", "new"])
  }

  /// Rows of layers come and go with every edit: nothing that has a name is gone.
  @Test func layersThatWereMergedAreNoLoss() async throws {
    try await fill(2)
    let layers = (0..<30).map { InodeID(1 << 20 + $0) }
    let filling = cluster.client().namespace()
    _ = try await filling.transact { transaction in
      for id in layers {
        transaction.put(
          Inode(
            id: id, kind: .layer, mode: 0, owner: 0, group: 0, links: 0,
            time: Timestamp(nanoseconds: 0)))
      }
    }
    try await eventually("all have it") { Set(cluster.servers.map(\.head)).count == 1 }
    await filling.finish()
    let head = cluster[1].head
    let change = Change(
      id: ChangeID(client: ClientID(9), sequence: 1),
      writes: layers.map { RowWrite(.inode($0), nil) })
    let request = NamespaceRequest.apply(head.view, number: head.number + 1, change)
    _ = cluster[2].handle(.namespace(.init(request)), from: ClientID(9))
    let namespace = client()
    _ = try await create(namespace, "new")
    #expect(try await names(namespace) == ["f0", "f1", "new"])
    #expect(cluster[1].rows[.inode(layers[0])] == nil)
  }

  /// Two servers that say the same are believed: a server that was away is caught up.
  @Test func whatTwoSayIsDone() async throws {
    let client = cluster.client { $0.policy = .quorum }
    let namespace = client.namespace()
    for index in 0..<20 { _ = try await create(namespace, "f\(index)") }
    client.set { $0.down = ServerSet([ServerIndex(0)]) }
    for index in 0..<20 {
      _ = try await namespace.transact { try await $0.unlink(.root, FileName("f\(index)")) }
    }
    client.set { $0.down = ServerSet([ServerIndex(1)]) }
    await namespace.returned(ServerIndex(0))
    _ = try await create(namespace, "new")
    #expect(try await names(namespace) == ["new"])
    try await eventually("DFS1 has all") { cluster[1].head == cluster[3].head }
  }

  /// A transfer from a server that never comes to an end would go on for ever.
  @Test func rowsThatDoNotGoOnEndTheTransfer() async throws {
    try await fill(20)
    cluster[2].limit(pageRows: 5)
    cluster[2].repeatPages()
    let client = cluster.client()
    let servers = ServerPool(requests: client, cache: RowCache(limit: 10))
    let error = await #expect(throws: DFSError.self) {
      var rows = OrderedRows(server: ServerIndex(1), servers: servers)
      while try await rows.next() != nil {}
    }
    #expect(error?.code == .protocolViolation)
  }
}
