import DFSCore
import DFSReplication
import DFSTestSupport
import Testing

@testable import DFSClient

/// Which servers are known to have what travelled with a change.
@Suite(.timeLimit(.minutes(2))) struct ChangePartsTests {
  private func create(_ namespace: Namespace, _ name: String) async throws -> ServerSet {
    let name = try FileName(name)
    let new = NewInode(kind: .regular, mode: 0o644, owner: 0, group: 0)
    var parts = ChangeParts()
    parts.inline = [
      InlinePart(
        id: PartID(version: .random(), part: PartIndex(0)), bytes: [1],
        checksum: .of([1]))
    ]
    return try await namespace.transact(parts, policy: .quorum) {
      try await $0.create(.root, name, new)
    }.stored
  }

  @Test func allThatTookTheChangeAreTold() async throws {
    #expect(try await create(MemoryCluster().client().namespace(), "a") == .all)
  }

  @Test func aServerThatLacksWhatWasUploadedIsNot() {
    let change = ChangeID(client: ClientID(7), sequence: 1)
    var sent = SentParts(stored: .all)
    sent.note(.missingParts([]), to: change, of: ServerIndex(0))
    sent.change = change
    sent.note(.missingParts([]), to: change, of: ServerIndex(1))
    for server in [0, 2, 3] { sent.note(.applied(.blank), to: change, of: ServerIndex(server)) }
    #expect(sent.stored == ServerSet([ServerIndex(0), ServerIndex(2), ServerIndex(3)]))
    let other = ChangeID(client: ClientID(7), sequence: 2)
    sent.note(.applied(.blank), to: other, of: ServerIndex(1))
    #expect(sent.stored == ServerSet([ServerIndex(0), ServerIndex(2), ServerIndex(3)]))
  }

  /// One that does not answer has what was uploaded, if three others have looked; a change that was taken up
  /// from one of them is on servers that did not look. Found by the simulation.
  @Test func whoDidNotLookForWhatWasUploadedIsBelievedIfThreeDid() {
    let change = ChangeID(client: ClientID(7), sequence: 1)
    var sent = SentParts(stored: .all)
    sent.change = change
    sent.note(.applied(.blank), to: change, of: ServerIndex(3))
    sent.note(.missingParts([]), to: change, of: ServerIndex(2))
    sent.note(.missingParts([]), to: change, of: ServerIndex(1))
    #expect(sent.stored == ServerSet([ServerIndex(3)]))
    var other = SentParts(stored: .all)
    other.change = change
    for server in 0..<3 { other.note(.applied(.blank), to: change, of: ServerIndex(server)) }
    #expect(other.stored == .all)
  }

  /// A server that was away gets the change from a log, without what travelled with it.
  @Test func aServerThatIsBroughtTheChangeByALogIsNot() async throws {
    let cluster = MemoryCluster()
    let client = cluster.client()
    let (namespace, other) = (client.namespace(), cluster.client().namespace())
    // An empty namespace begins with all four.
    _ = try await create(namespace, "first")
    client.set { $0.down = ServerSet([ServerIndex(3)]) }
    let three = ServerSet([ServerIndex(0), ServerIndex(1), ServerIndex(2)])
    #expect(try await create(namespace, "a") == three)
    _ = try await create(other, "b")
    try await eventually("it has all changes") { cluster[4].head.number == 3 }
  }

  /// Servers that answered a call before are not asked again for it.
  @Test func serversAreAskedOnceACall() async throws {
    let client = MemoryCluster().client()
    let namespace = client.namespace()
    _ = try await create(namespace, "first")
    try await Task.sleep(for: ServerPool.heardWithin)
    let asked = client.asked
    let answering = try await namespace.require(.all)
    #expect(answering == .all && client.asked == asked + 4)
    try await Task.sleep(for: ServerPool.heardWithin)
    #expect(try await namespace.require(.quorum, known: answering) == .all)
    #expect(client.asked == asked + 4)
    client.set { $0.down = ServerSet([ServerIndex(3)]) }
    let three = ServerSet.all.subtracting(ServerSet([ServerIndex(3)]))
    #expect(try await namespace.require(.quorum, known: answering) == three)
    #expect(client.asked == asked + 4)
    await #expect(throws: DFSError.self) {
      try await namespace.require(.all, known: answering)
    }
  }
}
