internal import DFSCore
internal import DFSReplication
internal import DFSTestSupport

/// A server of another namespace: it has rows of its own under the keys that the world uses, and must keep
/// them as they are. (One without any change could not be told from a namespace that is just being made;
/// what keeps those apart is the identity of the cluster, which is not modelled.)
final class ForeignServer {
  let server: SimulatedServer
  private let head: Head
  private let rows: [RowKey: Row]

  init(_ index: ServerIndex, world: World, _ random: inout SplitMix64) {
    server = SimulatedServer(index, world: world)
    let author = ClientID(1_000_000 + UInt64(index.value))
    let view = View(
      round: UInt64(1 + random.below(40)), client: author,
      namespace: world.mistake == .namespacesIgnored
        ? nil : NamespaceID(high: 2, low: UInt64(index.value + 1)))
    for sequence in 0..<random.pick([1, 5, 200]) {
      let value = RowValue(bytes: [UInt8(random.below(256))])
      let identity = RowValue(bytes: author.value.bigEndianBytes + UInt64(sequence).bigEndianBytes)
      let change = Change(
        id: ChangeID(client: author, sequence: UInt64(sequence)),
        writes: [
          RowWrite(.inode(InodeID(UInt64(2 + random.below(6)))), value),
          RowWrite(Coordinator.identityKey, identity),
        ])
      server.disk.current.append(change, server.disk.setting)
    }
    server.disk.current.replica.head.view = view
    server.disk.current.replica.promised = view
    server.disk.commit(syncs: true)
    head = server.head
    rows = server.disk.current.rows
  }

  /// What was changed or replaced of what it has, or what it was made to promise; nil if nothing was.
  var change: String? {
    if server.head != head { return "its head \(head) became \(server.head)" }
    if server.disk.current.rows != rows { return "its rows became others" }
    // Before the world's own namespace is made, a client may take this one for it: it gets no further than
    // a promise, as the three others are blank.
    let promised = server.disk.current.replica.promised
    return promised.namespace == head.view.namespace ? nil : "it promised view \(promised)"
  }
}
