internal import DFSClient
internal import DFSConfiguration
internal import DFSCore
internal import DFSTestSupport

/// A program that uses the servers by the code that ships: `DFSClient` with all that it consists of, but for the
/// connections. Several of its operations are under way at once, so that their changes are joined.
final class ShippedClient {
  private static let underWayAtOnce = 3
  private static let catchUpPatience = Duration.seconds(2)

  let slot: Int
  private unowned let world: World
  /// Who it is in its present life.
  private(set) var id = ClientID(1)
  private var service: DFSClient?
  private var connections: ClientConnections?
  private var files: LockedFiles?
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

  /// Something is under way.
  var isBusy: Bool { !underWay.isEmpty }
  /// It has got on since the faults are over, and does nothing more.
  var isDone: Bool { proofs == 2 && !isBusy && !(files?.isUnstored ?? false) }

  // MARK: Life

  func start() {
    guard !hasEnded, service == nil else { return }
    life += 1
    id = world.nextClientID()
    world.trace("client \(slot) starts as \(id.value)")
    let connections = ClientConnections(world: world, slot: slot, client: id)
    var configuration = ClientConnections.configuration
    configuration.writes = world.settings.policy
    (configuration.callTimeoutSeconds, configuration.hedgeMilliseconds) = (5, 100)
    configuration.readCacheBytes = 1 << 20
    guard let proposed = NamespaceID(high: 1, low: id.value) else {
      preconditionFailure("it is not 0")
    }
    configuration.readLeases = world.settings.hasLeases
    service = DFSClient(
      configuration, connections, as: id, proposing: proposed, layers: world.settings.layerPace,
      leases: world.settings.leaseTerm, locks: world.settings.lockPace)
    self.connections = connections
    files = service.map { LockedFiles(world: world, $0, as: id) }
    if let files { service?.locks?.serve(files) }
    Task { await connections.start() }
    later { [self] in begin() }
    heal()
  }

  /// It is killed, and starts again later.
  func crash() {
    guard !hasEnded, service != nil else { return }
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
    files?.end()
    if let service { Task { await service.close() } }
    (connections, service, files) = (nil, nil, nil)
  }

  /// The world has ended: nothing is answered any more.
  func end() {
    hasEnded = true
    leave()
  }

  /// The address of a server leads to another one from now on.
  func moved(_ server: ServerIndex) { connections?.moved(server) }

  func pushed(_ keys: SimulatedPush, head: Head, from server: ServerIndex, session: Int) {
    connections?.pushed(keys, head: head, from: server, session: session)
  }

  /// After a pause, if this life goes on.
  private func later(_ action: @escaping () -> Void) {
    let life = life
    // Operations come in bursts.
    let isReader = slot < world.settings.readers
    let pause = world.random.chance(isReader ? 3 : 15) ? world.settings.rest : world.settings.pause
    world.after(1 + world.random.below(pause)) { [self] in
      if self.life == life { action() }
    }
  }

  // MARK: Operations

  private func begin() {
    if underWay.count < Self.underWayAtOnce {
      if operationsLeft > 0 {
        operationsLeft -= 1
        let isReader = slot < world.settings.readers
        perform(isReader ? .counters : .random(&world.random, world.settings))
      } else if world.areFaultsOver, proofs < 2, underWay.isEmpty {
        perform(proof, isProof: true)
      }
    }
    if !isDone { later { [self] in begin() } } else if world.settings.hasContents { idle() }
  }

  private var proof: ClientOperation.Kind {
    if proofs > 0 { return .counters }
    return world.settings.hasLocks
      ? .section(.proof(slot)) : .count([ClientOperation.counters[slot % 2]])
  }

  /// Changes something now and then, though it is done: servers know of each change by the next one that it is
  /// committed.
  private func idle() {
    let life = life
    guard slot == 0 else { return }
    world.after(idlePause) { [self] in
      guard self.life == life else { return }
      if isDone { perform(.count([ClientOperation.counters[0]])) }
      idle()
    }
  }

  private var idlePause: Int { 500_000 + world.random.below(1_500_000) }

  /// - Parameter pinned: a version that is kept open until then.
  private func perform(
    _ kind: ClientOperation.Kind, isProof: Bool = false, pinned: Version? = nil
  ) {
    guard let service, let files else { return }
    let isDurable = world.settings.forgetting == .allPower && world.random.chance(30)
    let token = world.operations.begun(
      kind, by: id, slot: slot, at: world.now, isDurable: isDurable)
    underWay.insert(token)
    world.trace("client \(slot) begins \(token) \(kind.brief)")
    let operation = ClientOperation(
      kind: kind, token: token, isDurable: isDurable, program: id, client: service,
      environment: world.environment, notes: world.notes,
      awaitsPins: world.settings.hasLayers && token.isMultiple(of: 2), files: files,
      sections: world.locks)
    let (life, began) = (life, world.now)
    // Who waits may give up: what then fails must not have happened.
    let givesUp = !isProof && world.random.chance(8)
    let task = run {
      await operation.run()
    } then: { [self] outcome in
      guard self.life == life, let connections else { return }
      if let pinned { service.unpin(pinned) }
      let isProved =
        kind.isDecidedByChange || kind.isSection || outcome.isChange
        || connections.hadQuorum(since: began)
      let outcome = isProved ? outcome : .unknown
      underWay.remove(token)
      world.trace("client \(slot): \(token) \(kind.brief): \(outcome.brief)")
      world.operations.ended(token, outcome, at: world.now)
      if case .published(let inode, let content) = outcome {
        world.copies.acknowledged(
          .inode(inode), content, by: slot, began: began, durable: isDurable)
        if content.placement != content.home { world.counts.substitutes += 1 }
      }
      if case .patched(let inode) = outcome {
        patched(kind, inode, began: began, isDurable: isDurable)
      }
      if isProof, outcome.isSuccess { proofs += 1 }
    }
    if givesUp {
      world.after(1 + world.random.below(30_000)) { [self] in
        world.trace("client \(slot) gives \(token) up")
        task.cancel()
      }
    }
  }

  /// A layer was published: the file is closed, or kept open and written again later.
  private func patched(
    _ kind: ClientOperation.Kind, _ inode: Inode, began: Int, isDurable: Bool
  ) {
    guard let service, let version = inode.version, let last = version.contents.last else {
      return
    }
    let content = last.placed
    world.copies.acknowledged(
      .inode(version.layers.last?.inode ?? inode.id), content, by: slot, began: began,
      durable: isDurable)
    if isDurable { world.copies.durable(version) }
    if content.placement != content.home { world.counts.substitutes += 1 }
    guard world.random.chance(60) else { return service.unpin(version) }
    later { [self] in
      switch kind {
      case .patch(let place, let keepsOthers), .patchAgain(let place, _, let keepsOthers):
        perform(.patchAgain(place, inode, keepsOthers: keepsOthers), pinned: version)
      default: service.unpin(version)
      }
    }
  }

  /// Has servers catch up that no change has catch up, and brings copies where they belong, as a mount does in
  /// the background.
  private func heal() {
    let life = life
    let pause = world.settings.healPause / 2 + world.random.below(world.settings.healPause)
    world.after(isDone ? idlePause : pause) { [self] in
      guard self.life == life, let service else { return }
      let hasContents = world.settings.hasContents
      let settlesAll = world.settlesAll && slot == 0
      let files = world.areFaultsOver ? files : nil
      run { () -> HealReport? in
        await files?.syncAll()
        if hasContents {
          let report = try? await service.heal { _ in }
          if settlesAll { await Self.settleAll(service) }
          return report
        }
        _ = try? await service.namespace.catchUp(within: Self.catchUpPatience)
        return nil
      } then: { [self] report in
        world.counts.healed += report?.copies ?? 0
        world.counts.settled += report?.placementsRecorded ?? 0
        if self.life == life { heal() }
      }
    }
  }

  private static func settleAll(_ service: DFSClient) async {
    var after: FileName?
    repeat {
      guard let page = try? await service.unsettled(after: after) else { return }
      for inode in page.inodes { _ = try? await service.settle(inode.id) { _ in } }
      after = page.next
    } while after != nil
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
