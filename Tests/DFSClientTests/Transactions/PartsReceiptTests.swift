import DFSCore
import DFSReplication
import DFSTestSupport
import Testing

@testable import DFSClient

/// Which servers are known to have what travelled with a change.
@Suite(.timeLimit(.minutes(2))) struct PartsReceiptTests {
  private func create(
    _ namespace: Namespace, _ name: String, _ receipt: PartsReceipt
  ) async throws {
    let name = try FileName(name)
    let new = NewInode(kind: .regular, mode: 0o644, owner: 0, group: 0)
    var parts = ChangeParts()
    parts.receipt = receipt
    _ = try await namespace.transact(parts, policy: .quorum) {
      try await $0.create(.root, name, new)
    }
  }

  @Test func allThatTookTheChangeAreNoted() async throws {
    let namespace = MemoryCluster().client().namespace()
    let receipt = PartsReceipt()
    try await create(namespace, "a", receipt)
    try await eventually("all four took it") { receipt.stored == .all }
  }

  @Test func aServerThatLacksWhatWasUploadedIsNot() {
    let receipt = PartsReceipt(stored: .all)
    receipt.note(.applied(.blank), of: ServerIndex(0))
    receipt.note(.missingParts([]), of: ServerIndex(1))
    receipt.note(.missingParts([]), of: ServerIndex(2))
    receipt.note(.refused(.none), of: ServerIndex(3))
    #expect(receipt.stored == ServerSet([ServerIndex(0), ServerIndex(3)]))
  }

  /// A server that was away gets the change from a log, without what travelled with it.
  @Test func aServerThatIsBroughtAlongByALogIsNot() async throws {
    let cluster = MemoryCluster()
    let client = cluster.client()
    let (namespace, other) = (client.namespace(), cluster.client().namespace())
    // An empty namespace begins with all four.
    try await create(namespace, "first", PartsReceipt())
    client.set { $0.down = ServerSet([ServerIndex(3)]) }
    let receipt = PartsReceipt()
    try await create(namespace, "a", receipt)
    #expect(receipt.stored == ServerSet([ServerIndex(0), ServerIndex(1), ServerIndex(2)]))
    try await create(other, "b", PartsReceipt())
    try await eventually("it has all changes") { cluster[4].head.number == 3 }
    #expect(receipt.stored == ServerSet([ServerIndex(0), ServerIndex(1), ServerIndex(2)]))
  }
}
