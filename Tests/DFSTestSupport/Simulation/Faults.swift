internal import DFSCore

/// Makes the faults of a world happen, and ends them.
///
/// Invariant: between two servers that forget, all servers were equal and nothing was under way.
final class Faults {
  private let world: World
  private var forgetful: ServerIndex
  private var hasForgotten = false

  init(world: World) {
    self.world = world
    forgetful = world.random.pick(ServerIndex.all)
  }

  func begin() {
    every(world.settings.serverStops) { [self] in stop(world.servers[world.random.below(4)]) }
    every(world.settings.clientStops) { [self] in
      world.counts.faults += 1
      world.clients[world.random.below(world.clients.count)].crash()
    }
    every(world.settings.cuts) { [self] in cut() }
    every(world.settings.stillness) { [self] in standStill() }
    beginForgetting()
    if world.settings.hasContents { every(world.settings.damage) { [self] in damage() } }
    world.after(world.settings.quietAfter) { [self] in end() }
  }

  /// Repeats a fault at random times until the faults end.
  private func every(_ mean: Int?, _ fault: @escaping () -> Void) {
    guard let mean else { return }
    world.after(1 + world.random.below(2 * mean)) { [self] in
      if world.areFaultsOver { return }
      fault()
      every(mean, fault)
    }
  }

  private func end() {
    world.trace("the faults end")
    world.cutThere = []
    world.cutBack = []
    for server in world.servers { server.isUp = true }
  }

  // MARK: Faults that lose nothing

  private func stop(_ server: SimulatedServer) {
    guard server.isUp else { return }
    world.counts.faults += 1
    world.trace("\(server.index) stops")
    server.stop()
    world.after(1 + world.random.below(20_000)) { [self] in start(server) }
  }

  private func start(_ server: SimulatedServer) {
    if !server.isUp { world.trace("\(server.index) starts") }
    server.isUp = true
  }

  private func cut() {
    world.counts.faults += 1
    let server = world.random.below(4)
    let slots =
      world.random.chance(50)
      ? Array(world.clients.indices) : [world.random.below(world.clients.count)]
    let direction = world.random.below(3)
    let links = slots.map { World.Link(slot: $0, server: server) }
    world.trace("links to server \(server + 1) of clients \(slots) are cut (\(direction))")
    if direction != 1 { world.cutThere.formUnion(links) }
    if direction != 0 { world.cutBack.formUnion(links) }
    world.after(1 + world.random.below(30_000)) { [self] in
      world.cutThere.subtract(links)
      world.cutBack.subtract(links)
    }
  }

  private func standStill() {
    world.counts.faults += 1
    let server = world.servers[world.random.below(4)]
    server.stillUntil = world.now + world.random.below(15_000)
    world.trace("\(server.index) stands still until \(server.stillUntil)")
  }

  // MARK: Forgetting

  private func beginForgetting() {
    switch world.settings.forgetting {
    case .nobody: break
    case .power: every(25_000) { [self] in losePower() }
    case .blank: every(80_000) { [self] in replaceDisk(restoring: false) }
    case .backup:
      every(30_000) { [self] in if !hasForgotten { server.disk.keepBackup() } }
      every(80_000) { [self] in replaceDisk(restoring: true) }
    case .everyPower: every(60_000) { [self] in loseAllPower() }
    }
  }

  private var server: SimulatedServer { world.servers[forgetful.value] }

  private func losePower() {
    world.counts.faults += 1
    chooseAnother()
    let count = world.random.below(server.disk.unsyncedCount + 1)
    world.trace("\(server.index) loses power; \(count) of \(server.disk.unsyncedCount) are left")
    server.stop()
    let server = server
    world.copies.forgetting(on: server) { losePower(of: server, leaving: count) }
    let pause = world.random.pick([500, 20_000])
    world.after(1 + world.random.below(pause)) { [self] in start(server) }
  }

  private func losePower(of server: SimulatedServer, leaving count: Int) {
    server.disk.losePowerOfFiles(&world.random)
    server.disk.losePower(leaving: count)
  }

  /// A copy goes bad, on the server that may forget.
  private func damage() {
    chooseAnother()
    world.copies.forgetting(on: server) {
      guard let id = server.disk.damage(&world.random) else { return }
      world.counts.faults += 1
      world.trace("the copy of \(id.brief) on \(server.index) goes bad")
    }
  }

  private func replaceDisk(restoring: Bool) {
    world.counts.faults += 1
    if !restoring { chooseAnother() }
    hasForgotten = true
    world.trace("\(server.index) gets \(restoring ? "an old" : "a blank") disk")
    server.stop()
    let server = server
    world.copies.forgetting(on: server) { server.disk.replace(restoring: restoring) }
    world.after(1 + world.random.below(20_000)) { [self] in start(server) }
  }

  private func loseAllPower() {
    world.counts.faults += 1
    world.trace("all servers lose power")
    for server in world.servers {
      server.stop()
      let count = world.random.below(server.disk.unsyncedCount + 1)
      world.copies.forgetting(on: server) { losePower(of: server, leaving: count) }
      world.after(1 + world.random.below(10_000)) { [self] in start(server) }
    }
  }

  /// Another server may be the one that forgets once all are equal.
  private func chooseAnother() {
    guard world.areServersEqual, world.servers[0].head.number > 0,
      world.clients.allSatisfy({ !$0.isBusy }), world.copies.areWhole
    else { return }
    for server in world.servers { server.disk.syncAll() }
    forgetful = world.random.pick(ServerIndex.all)
  }
}
