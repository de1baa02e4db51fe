internal import DFSCore
internal import DFSReplication
internal import DFSTestSupport

/// What a client does, one thing after the other: operations on rows, and tasks that have several of
/// them (publishing, reading a content, healing); and how an operation ends.
extension SimulatedClient {
  func pause() {
    later(1 + world.random.below(world.settings.isHot ? 2_000 : 8_000)) { [self] in
      beginOperation()
    }
  }

  private func beginOperation() {
    guard task == nil, operation == nil else { return }
    if operationsLeft > 0 {
      operationsLeft -= 1
      if world.settings.hasContents, world.random.chance(70) { return beginTask() }
      operation = .random(
        &world.random, now: world.now, after: last, isHot: world.settings.isHot)
      if world.settings.forgetting == .allPower, world.random.chance(30) {
        for server in ServerIndex.all {
          operation?.parts[server] = SimulatedParts(durable: true)
        }
      }
      last = operation
    } else if world.areFaultsOver, proofs < 2 {
      let keys = [SimulatedOperation.counter(UInt64(slot % 2))]
      operation = SimulatedOperation(
        kind: proofs == 0 ? .increment(keys) : .read(keys), began: world.now,
        deadline: world.now + 120_000, isProof: true)
    } else {
      return idle()
    }
    step()
  }

  /// All is done: servers go on being healed, and have changes now and then, after which they know
  /// that those before are committed.
  private func idle() {
    guard world.settings.hasContents else { return pause() }
    later(20_000 + world.random.below(100_000)) { [self] in
      if operation != nil || task != nil { return }
      if slot > 0 || world.random.chance(60) { return heal() }
      perform(.increment([SimulatedOperation.counter(0)])) { [self] _ in pause() }
    }
  }

  /// Performs one operation as a step of something.
  func perform(
    _ kind: SimulatedOperation.Kind, _ parts: SimulatedPartsByServer = [:],
    _ then: @escaping (SimulatedEnd) -> Void
  ) {
    operation = SimulatedOperation(
      kind: kind, began: world.now, deadline: world.now + Self.stepPatience, parts: parts,
      then: then)
    step()
  }

  private func beginTask() {
    let file = world.random.pick(SimulatedOperation.files)
    switch world.random.below(100) {
    case ..<40: SimulatedPublish(file, client: self).begin()
    case ..<65: SimulatedContentRead(file, client: self).begin()
    case ..<75: perform(.remove(file)) { [self] _ in pause() }
    default: heal()
    }
  }

  private func heal() { SimulatedHealing(client: self).begin() }

  func taskEnded() {
    task = nil
    pause()
  }

  func nextVersion(isSmall: Bool) -> VersionID {
    versions += 1
    return VersionID(high: coordinator.client.value, low: 2 * versions + (isSmall ? 1 : 0))
  }

  /// Ends the operation; without an outcome it failed, or its outcome is unknown.
  func finish(_ outcome: History.Outcome?, isUnknown: Bool = false) {
    guard let done = operation else { return }
    (operation, next) = (nil, nil)
    attempt += 1
    losses = min(losses, 3)
    if let outcome {
      world.history.ended(
        outcome, slot: slot, began: done.began, at: world.now,
        isDurable: done.isDurable && outcome.isChange)
      count(outcome)
      if done.isProof { proofs += 1 }
    } else if isUnknown {
      world.counts.unknown += 1
    } else {
      world.counts.failed += 1
    }
    let end = outcome?.brief ?? (isUnknown ? "unknown" : "failed")
    world.trace("client \(slot): \(done.kind.brief) from \(done.began): \(end)")
    guard let then = done.then else { return pause() }
    then(outcome.map { .done($0) } ?? (isUnknown ? .unknown : .failed))
  }

  private func count(_ outcome: History.Outcome) {
    switch outcome {
    case .committed: world.counts.acknowledged += 1
    case .observed: world.counts.reads += 1
    case .cached: world.counts.cachedReads += 1
    }
  }
}
