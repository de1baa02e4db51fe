import DFSCore
import DFSReplication
import DFSTestSupport
import DFSWire
import Testing

@testable import DFSClient

/// Bringing rows to a server whose own are no beginning of the committed ones.
@Suite(.timeLimit(.minutes(2))) struct StateTransferTests {
  @Test func aBlankServerIsRefilled() async throws {
    let cluster = MemoryCluster()
    let client = cluster.client { $0.policy = .quorum }
    let namespace = client.namespace()
    for index in 0..<30 { _ = try await create(namespace, "f\(index)") }
    client.set { $0.down = ServerSet([ServerIndex(2)]) }
    for index in 30..<60 { _ = try await create(namespace, "f\(index)") }
    for server in cluster.servers { server.limit(pageRows: 10) }
    cluster[3].becomeBlank()
    client.set { $0.down = [] }
    await namespace.returned(ServerIndex(2))
    // Its log begins nowhere near: rows are copied, or changes from the first on.
    try await eventually("DFS3 has all") { cluster[3].head == cluster[1].head }
    #expect(cluster[3].rows == cluster[1].rows)
    #expect(try await names(namespace).count == 60)
  }

  /// It took a pause of all writing that was longer than the transfer.
  @Test func aRefillEndsThoughChangesGoOn() async throws {
    let cluster = MemoryCluster()
    let client = cluster.client { $0.policy = .quorum }
    let namespace = client.namespace()
    for index in 0..<200 { _ = try await create(namespace, "f\(index)") }
    try await eventually("all have it") { Set(cluster.servers.map(\.head)).count == 1 }
    for server in cluster.servers {
      server.limit(pageRows: 8)
      server.trimLog()
    }
    cluster[3].becomeBlank()
    // It never rests, and the namespace does not grow: a page costs this memory the time of all rows.
    let writer = Task {
      let end = ContinuousClock.now + .seconds(60)
      var number = 0
      while cluster[3].head.number <= 200, .now < end {
        _ = try await create(namespace, "g")
        for name in number < 50 ? ["g", "f\(number)"] : ["g"] {
          _ = try await namespace.transact { try await $0.unlink(.root, FileName(name)) }
        }
        number += 1
      }
      return number
    }
    await namespace.returned(ServerIndex(2))
    let count = try await writer.value
    #expect(count > 0 && cluster[3].head.number > 200, "after \(count) rounds")
    try await eventually("DFS3 has all") { cluster[3].head == cluster[1].head }
    #expect(cluster[3].rows == cluster[1].rows)
    #expect(try await names(namespace).count == 200 - min(50, count))
  }

  /// Of a transfer that two clients' views supersede in turns.
  @Test func aRefillEndsThoughClientsTakeViewsInTurns() async throws {
    let cluster = MemoryCluster()
    let clients = (0..<2).map { _ in cluster.client { $0.policy = .quorum } }
    let namespaces = clients.map { $0.namespace() }
    for index in 0..<200 { _ = try await create(namespaces[0], "f\(index)") }
    try await eventually("all have it") { Set(cluster.servers.map(\.head)).count == 1 }
    for server in cluster.servers {
      server.limit(pageRows: 8)
      server.trimLog()
    }
    cluster[3].becomeBlank()
    for namespace in namespaces { await namespace.returned(ServerIndex(2)) }
    let end = ContinuousClock.now + .seconds(60)
    var views: Set<View> = []
    while cluster[3].head.number <= 200, .now < end {
      for namespace in namespaces {
        _ = try await create(namespace, "g")
        views.insert(cluster[1].head.view)
        _ = try await namespace.transact { try await $0.unlink(.root, FileName("g")) }
      }
    }
    #expect(cluster[3].head.number > 200, "after \(views.count) views")
    try await eventually("DFS3 has all") { cluster[3].head == cluster[1].head }
    #expect(cluster[3].rows == cluster[1].rows)
    #expect(views.count > 1)
  }

  /// It got all rows.
  @Test func aServerWithADroppedChangeIsBroughtOnlyWhatThatWrote() async throws {
    let cluster = MemoryCluster()
    let namespace = cluster.client().namespace()
    for index in 0..<100 { _ = try await create(namespace, "f\(index)") }
    try await eventually("all have it") { Set(cluster.servers.map(\.head)).count == 1 }
    for server in cluster.servers { server.limit(pageRows: 10) }
    let head = cluster[3].head
    let name = try FileName("dropped")
    let entry = RowKey.entry(parent: .root, name: name)
    let change = Change(
      id: ChangeID(client: ClientID(77), sequence: 1),
      writes: [
        RowWrite(entry, RowValue(bytes: [], child: InodeID(7_000))),
        RowWrite(.entry(parent: .root, name: try FileName("f1")), nil),
      ])
    let request = NamespaceRequest.apply(head.view, number: head.number + 1, change)
    let reply = cluster[3].handle(.namespace(.init(request)), from: ClientID(77))
    guard case .namespaceReply(.applied) = reply else { return #expect(Bool(false), "\(reply)") }
    // Another client goes on, and does not hear of it.
    let client = cluster.client { $0.policy = .quorum }
    client.set { $0.down = ServerSet([ServerIndex(2)]) }
    let other = client.namespace()
    for index in 100..<110 { _ = try await create(other, "f\(index)") }
    client.set { $0.down = [] }
    await other.returned(ServerIndex(2))
    try await eventually("DFS3 has all") { cluster[3].head == cluster[1].head }
    #expect(cluster[3].rows == cluster[1].rows)
    #expect(cluster[3].rows[entry] == nil)
    #expect(cluster[3].transferPages == 1)
    #expect(try await names(other).count == 110)
  }
}
