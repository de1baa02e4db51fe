internal import DFSCore
internal import DFSReplication
internal import DFSTestSupport

/// Publishes a new content of a file, as DFSClient does: the copies are stored, then one change
/// names them; small ones travel in the change. A server that is lost on the way is substituted for.
final class SimulatedPublish {
  private let key: RowKey
  private unowned let client: SimulatedClient
  private let version: VersionID
  private let home: Placement
  private let isSmall: Bool
  private let durable: Bool
  private let began: Int
  private var placement: Placement

  private var world: World { client.world }

  init(_ key: RowKey, client: SimulatedClient) {
    (self.key, self.client) = (key, client)
    let digest = Array(repeating: UInt8(0), count: 15) + [UInt8(client.world.random.below(4))]
    guard let md5 = MD5Digest(bytes: digest) else { preconditionFailure("16 bytes are a digest") }
    home = Placement(md5: md5)
    placement = home
    isSmall = client.world.random.chance(40)
    version = client.nextVersion(isSmall: isSmall)
    durable = client.world.random.chance(40)
    began = client.world.now
  }

  func begin() {
    client.task = self
    guard world.settings.policy == .all, !client.refusing.isEmpty else { return start() }
    // One that refuses changes is tried once more; all are needed.
    client.perform(client.coordinator.retry(reachable: client.refusing))
    client.later(3_000) { [self] in client.refusing.isEmpty ? start() : end() }
  }

  private func start() {
    client.whoAnswers { [self] answering in
      let needed = world.settings.policy == .all ? Limits.serverCount : Limits.quorum
      guard answering.count >= needed else { return end() }
      placement = home.substituting(for: ServerSet.all.subtracting(answering))
      isSmall ? settleFirst() : upload()
    }
  }

  // MARK: Storing

  private func upload() {
    let losses = StoreLosses(absent: placement.absent)
    let copies = placement.copies(missingIn: Placement(holders: [[], [], [], []]))
    client.store(copies, of: version, durable: durable, losses) { [self] losses, isStored in
      guard isStored else { return undo() }
      guard let lost = losses.lost,
        let substitute = Substitute(for: ServerSet([lost]), in: placement)
      else { return publish() }
      store(substitute.copies) { [self] isStored in
        guard isStored else { return undo() }
        placement = substitute.placement
        publish()
      }
    }
  }

  private func store(
    _ copies: [(part: PartIndex, server: ServerIndex)], _ done: @escaping (Bool) -> Void
  ) {
    client.store(
      copies, of: version, durable: durable, StoreLosses(absent: .all)
    ) { _, isStored in done(isStored) }
  }

  /// Nothing names the copies.
  private func undo() {
    let ids = PartIndex.all.map { PartID(version: version, part: $0) }
    if !isSmall { for server in ServerIndex.all { client.copy(.drop(ids), on: server) { _ in } } }
    end()
  }

  // MARK: Publishing

  /// Copies that travel with a change reach a server only if it is in the view.
  private func settleFirst() {
    client.even(since: world.now) { [self] in publish() }
  }

  private func publish() {
    var parts: SimulatedPartsByServer = [:]
    for server in ServerIndex.all {
      // All four small ones go to every server.
      let own = isSmall ? PartIndex.all : placement.parts(on: server)
      let ids = own.map { PartID(version: version, part: $0) }
      parts[server] = SimulatedParts(
        small: isSmall ? ids : [], held: isSmall ? [] : ids, durable: durable)
    }
    let content = RowContent(version: version, placement: placement, home: home)
    client.perform(.publish(key, content), parts) { [self] end in
      switch end {
      case .done(.committed(let id, _)):
        isSmall ? client.even(since: world.now) { [self] in mend(id) } : mend(id)
      case .done, .failed: undo()
      // Perhaps it was published: its copies stay.
      case .unknown: unknown()
      }
    }
  }

  // MARK: RedundancyPlan

  /// Sees that every server has its copies; if a holder was lost meanwhile, the server opposite
  /// substitutes for it.
  private func mend(_ change: ChangeID) {
    client.whoAnswers { [self] answering in
      let isTrusted =
        world.mistake == (isSmall ? .smallCopiesNotCompleted : .lostCopiesNotCompleted)
      let stored = isTrusted ? .all : client.stored[change] ?? []
      // A server that refuses changes is as good as lost.
      let refusing = ServerSet(client.refusing.servers.prefix(1))
      let plan = RedundancyPlan(
        placement, stored: stored, reachable: answering.subtracting(refusing))
      client.store(plan.copies, of: version, durable: durable) { [self] more in
        let stored = stored.union(more)
        guard RedundancyPlan.isWhole(placement, stored: stored) else { return mendAgain(change) }
        guard let substitute = plan.substitute else { return acknowledge() }
        store(substitute.copies) { [self] isStored in
          isStored ? place(substitute.placement) : acknowledge()
        }
      }
    }
  }

  /// Without a copy of each part nothing is acknowledged.
  private func mendAgain(_ change: ChangeID) {
    guard world.now < began + 3 * SimulatedClient.stepPatience else { return unknown() }
    client.later(5_000) { [self] in mend(change) }
  }

  private func place(_ substitute: Placement) {
    var parts: SimulatedPartsByServer = [:]
    for server in ServerIndex.all { parts[server] = SimulatedParts(durable: durable) }
    let content = RowContent(version: version, placement: placement, home: home)
    client.perform(.place(key, content, substitute), parts) { [self] end in
      if case .done(.committed) = end { placement = substitute }
      acknowledge()
    }
  }

  private func acknowledge() {
    let content = RowContent(version: version, placement: placement, home: home)
    world.copies.acknowledged(
      key, content, by: client.slot, began: began, durable: durable)
    world.counts.publishes += 1
    if placement != home { world.counts.substitutes += 1 }
    end()
  }

  /// What became of it is not known to this client.
  private func unknown() { end() }

  private func end() { client.taskEnded() }
}
