import DFSCore
import DFSReplication

@testable import DFSSimulation

/// Four servers in memory and a coordinator, with every message delivered at once, unless the test
/// takes it out of the way.
struct Bench {
  var disks = Array(repeating: SimulatedDisk(logLength: 1_000), count: 4)
  var coordinator: Coordinator
  /// Servers whose messages get lost.
  var silent: ServerSet = []
  /// Servers that lack the parts of changes.
  var lacking: ServerSet = []
  /// What the coordinator told, in order.
  var told: [Coordinator.Action] = []
  var sent: [Coordinator.Action] = []
  var transfers = 0
  var logPage = 1_000
  /// Hostile servers: what they say instead.
  var lies: [ServerIndex: (NamespaceReply) -> NamespaceReply] = [:]

  init(client: UInt64 = 1, namespace: NamespaceID? = nil) {
    coordinator = Coordinator(client: ClientID(client), namespace: namespace)
  }

  /// The same servers for another client.
  func other(_ client: UInt64, namespace: NamespaceID? = nil) -> Bench {
    var bench = self
    bench.coordinator = Coordinator(client: ClientID(client), namespace: namespace)
    (bench.told, bench.sent, bench.silent) = ([], [], [])
    return bench
  }

  func head(_ server: Int) -> Head { disks[server].current.replica.head }

  mutating func takeView(reachable: ServerSet = .all) {
    perform(coordinator.takeView(reachable: reachable))
  }

  mutating func append(_ writes: [RowWrite] = [.note("a", 1)]) {
    perform(coordinator.append(writes))
  }

  mutating func retry(reachable: ServerSet = .all) {
    perform(coordinator.retry(reachable: reachable))
  }

  mutating func perform(_ actions: [Coordinator.Action]) {
    var queue = actions[...]
    while let action = queue.popFirst() {
      sent.append(action)
      switch action {
      case .send(let server, let request, let token):
        if silent.contains(server) { continue }
        let reply = answer(request, by: server)
        queue += coordinator.receive(lies[server]?(reply) ?? reply, token: token)
      case .transfer(let server, let source, let view):
        queue += coordinator.refilled(server, head: transfer(server, source, view))
      default: told.append(action)
      }
    }
  }

  mutating func answer(_ request: NamespaceRequest, by server: ServerIndex) -> NamespaceReply {
    let state = disks[server.value].current
    if case .log(let after) = request {
      let base = state.digest(after: after)
      let entries = base == nil ? [] : state.log.filter { $0.number > after }.prefix(logPage)
      return .log(base: base, entries: Array(entries), head: state.replica.head)
    }
    if case .apply = request, lacking.contains(server) { return .missingParts([]) }
    switch state.replica.decide(request, logged: { state.entry($0) }) {
    case .answer(let reply): return reply
    case .promise(let view):
      disks[server.value].promise(view, syncs: true)
      return .promised(head(server.value))
    case .append(_, let change):
      disks[server.value].append(change, syncs: true)
      return .applied(head(server.value))
    case .install(let view, let changes, let to):
      let head = disks[server.value].install(view, changes, to: to, syncs: true)
      return head.map { .installed($0) } ?? .behind(self.head(server.value))
    }
  }

  private mutating func transfer(
    _ server: ServerIndex, _ source: ServerIndex, _ view: View
  ) -> Head? {
    transfers += 1
    let state = disks[source.value].current
    guard let to = coordinator.goal, state.replica.head.hasSameRows(as: to) else { return nil }
    return disks[server.value].transfer(
      view, rows: Array(state.rows.values), to: to, archive: state.archive)
  }
}

extension RowWrite {
  static func note(_ name: String, _ value: UInt8) -> RowWrite {
    guard let name = try? AttributeName(name) else { preconditionFailure("\(name) is not a name") }
    return RowWrite(.attribute(InodeID(9), name: name), RowValue(bytes: [value]))
  }
}

extension ServerSet {
  static func of(_ numbers: Int...) -> ServerSet { ServerSet(numbers.map { ServerIndex($0 - 1) }) }
}
