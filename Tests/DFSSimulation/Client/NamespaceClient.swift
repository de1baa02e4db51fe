internal import DFSClient
internal import DFSCore
internal import DFSTestSupport
internal import Logging

/// A program that reads and changes names and attributes by the code that ships: `Namespace`, with the
/// driver of its `Coordinator`, its reads by quorum, its cache of rows and its transfers of state. Several of its
/// operations are under way at once, so that their changes are joined.
final class NamespaceClient: WorldClient {
  private static let underWayAtOnce = 3
  private static let catchUpPatience = Duration.seconds(2)

  let slot: Int
  private unowned let world: World
  private(set) var id = ClientID(1)
  private var namespace: Namespace?
  private var connections: ClientConnections?
  /// How often it has begun anew; what an earlier life waits for is nothing to this one.
  private var life = 0
  private var underWay: Set<UInt64> = []
  private var operationsLeft: Int
  /// Operations that were begun after the faults and succeeded: a change and a read are missing.
  private var proofs = 0
  private var hasEnded = false

  init(slot: Int, world: World) {
    (self.slot, self.world) = (slot, world)
    operationsLeft = 3 * world.settings.operations
  }

  var isBusy: Bool { !underWay.isEmpty }
  var isDone: Bool { proofs == 2 && !isBusy }

  // MARK: Life

  func start() {
    guard !hasEnded, namespace == nil else { return }
    life += 1
    id = world.nextClientID()
    world.trace("client \(slot) starts as \(id.value)")
    let cache = RowCache(limit: 10_000)
    let connections = ClientConnections(world: world, slot: slot, client: id, cache: cache)
    var settings = Namespace.Settings()
    settings.policy = world.settings.policy
    (settings.callTimeout, settings.hedge) = (.seconds(5), .milliseconds(100))
    guard let proposed = NamespaceID(high: 1, low: id.value) else {
      preconditionFailure("it is not 0")
    }
    let namespace = Namespace(
      client: id, requests: connections, cache: cache, settings: settings, proposing: proposed,
      logger: Logger(label: "simulation") { _ in SwiftLogNoOpLogHandler() })
    connections.connected = { [weak namespace] server in
      Task { await namespace?.returned(server) }
    }
    (self.connections, self.namespace) = (connections, namespace)
    connections.begin()
    later { [self] in begin() }
    heal()
  }

  func crash() {
    guard !hasEnded, namespace != nil else { return }
    world.trace("client \(slot) stops")
    leave()
    world.ended(id)
    world.after(1 + world.random.below(20_000)) { [self] in start() }
  }

  private func leave() {
    life += 1
    for token in underWay.sorted() { world.operations.unknown(token) }
    underWay = []
    connections?.end()
    if let namespace { Task { await namespace.finish() } }
    (connections, namespace) = (nil, nil)
  }

  func end() {
    hasEnded = true
    leave()
  }

  func moved(_ server: ServerIndex) { connections?.moved(server) }

  func pushed(
    _ keys: SimulatedPush, head: Head, number: Int, from server: ServerIndex, session: Int
  ) {
    connections?.pushed(keys, head: head, from: server, session: session)
  }

  /// After a pause, if this life goes on.
  private func later(_ action: @escaping () -> Void) {
    let life = life
    // Operations come in bursts.
    let pause = world.random.chance(15) ? world.settings.rest : world.settings.pause
    world.after(1 + world.random.below(pause)) { [self] in
      if self.life == life { action() }
    }
  }

  // MARK: Operations

  private func begin() {
    if underWay.count < Self.underWayAtOnce {
      if operationsLeft > 0 {
        operationsLeft -= 1
        perform(.random(&world.random, isHot: world.settings.isHot))
      } else if world.areFaultsOver, proofs < 2, underWay.isEmpty {
        perform(
          proofs == 0 ? .count([ClientOperation.counters[slot % 2]]) : .counters, isProof: true)
      }
    }
    if !isDone { later { [self] in begin() } }
  }

  private func perform(_ kind: ClientOperation.Kind, isProof: Bool = false) {
    guard let namespace else { return }
    let isDurable = world.settings.forgetting == .allPower && world.random.chance(30)
    let token = world.operations.begun(
      kind, by: id, slot: slot, at: world.now, isDurable: isDurable)
    underWay.insert(token)
    world.trace("client \(slot) begins \(token) \(kind)")
    let operation = ClientOperation(
      kind: kind, token: token, isDurable: isDurable, namespace: namespace)
    let (life, began) = (life, world.now)
    // Who waits may give up: what then fails must not have happened.
    let givesUp = !isProof && world.random.chance(8)
    let task = run {
      await operation.run()
    } then: { [self] outcome in
      guard self.life == life, let connections else { return }
      let isProved = kind.isChange || connections.hadQuorum(since: began)
      let outcome = isProved ? outcome : .unknown
      underWay.remove(token)
      world.trace("client \(slot): \(token) \(kind): \(outcome.brief)")
      world.operations.ended(token, outcome, at: world.now)
      if isProof, outcome.isSuccess { proofs += 1 }
    }
    if givesUp {
      world.after(1 + world.random.below(30_000)) { [self] in
        world.trace("client \(slot) gives \(token) up")
        task.cancel()
      }
    }
  }

  /// Has servers catch up that no change has catch up, as a mount's healer does.
  private func heal() {
    let life = life
    world.after(world.settings.healPause / 2 + world.random.below(world.settings.healPause)) {
      [self] in
      guard self.life == life, let namespace else { return }
      run {
        _ = try? await namespace.catchUp(within: Self.catchUpPatience)
      } then: { [self] _ in
        if self.life == life { heal() }
      }
    }
  }

  @discardableResult
  private func run<Value: Sendable>(
    _ work: @escaping @Sendable () async -> Value, then end: @escaping (Value) -> Void
  ) -> Task<Void, Never> {
    let end = OnWorldsThread(end)
    return Task { end.body(await work()) }
  }
}

/// Something that is called by tasks of a world.
///
/// `@unchecked Sendable`: as `SimulatedLoop`; the world's tasks run on its thread.
private struct OnWorldsThread<Value>: @unchecked Sendable {
  let body: (Value) -> Void

  init(_ body: @escaping (Value) -> Void) { self.body = body }
}
