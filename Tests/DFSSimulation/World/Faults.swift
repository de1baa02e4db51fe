internal import DFSCore
internal import DFSReplication
internal import DFSTestSupport

/// Makes the faults of a world happen, and ends them.
///
/// Invariant: between two servers that forget, all servers were equal and nothing was under way.
final class Faults {
  private let world: World
  private var forgetful: ServerIndex
  private var hasForgotten = false
  /// Of its own, so that worlds are the same with and without foreign servers.
  private var foreignRandom: SplitMix64

  init(world: World) {
    self.world = world
    foreignRandom = SplitMix64(seed: world.seed ^ 0x6f72_6569_676e)
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
    every(world.settings.slowness) { [self] in slowDown() }
    every(world.settings.fullDisks) { [self] in fillDisk() }
    every(world.settings.failedSyncs) { [self] in failSync() }
    every(world.settings.isolations) { [self] in isolate() }
    misdirectLater()
    beginForgetting()
    if world.settings.hasContents {
      every(world.settings.damage) { [self] in damage() }
      every(world.settings.flips) { [self] in flip() }
    }
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
    world.slow = []
    redirect()
    for server in world.servers {
      server.disk.isFull = false
      server.disk.forgetFailures()
      server.start()
    }
  }

  // MARK: Faults that lose nothing

  private func stop(_ server: SimulatedServer) {
    guard server.isUp else { return }
    world.counts.faults += 1
    world.trace("\(server.index) stops")
    server.stop()
    world.after(1 + world.random.below(world.settings.outage)) { [self] in start(server) }
  }

  private func start(_ server: SimulatedServer) {
    if !server.isUp { world.trace("\(server.index) starts") }
    server.start()
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
    world.after(1 + world.random.below(300_000)) { [self] in
      world.cutThere.subtract(links)
      world.cutBack.subtract(links)
    }
  }

  /// A client hears nothing, and perhaps is not heard, for about as long as it trusts a lease.
  private func isolate() {
    world.counts.faults += 1
    let readers = world.settings.readers
    let slot = world.random.below(readers > 0 ? readers : world.clients.count)
    let links = (0..<Limits.serverCount).map { World.Link(slot: slot, server: $0) }
    let isSilent = world.random.chance(50)
    let isClosed = world.random.chance(world.settings.isolationsClose)
    world.trace("client \(slot) hears nothing" + (isClosed ? ", its connections are closed" : ""))
    world.cutBack.formUnion(links)
    if isSilent { world.cutThere.formUnion(links) }
    if isClosed {
      for server in world.servers { server.endSessions(of: world.clients[slot].id) }
    }
    if world.settings.isolationsRestart {
      for server in world.servers {
        server.stop()
        server.start()
      }
    }
    world.after(1 + world.random.below(world.settings.isolationsLast)) { [self] in
      world.cutThere.subtract(links)
      world.cutBack.subtract(links)
    }
  }

  private func standStill() {
    world.counts.faults += 1
    let server = world.servers[world.random.below(4)]
    server.stillUntil = world.now + world.random.below(150_000)
    world.trace("\(server.index) stands still until \(server.stillUntil)")
  }

  /// Two servers are slow to everybody.
  private func slowDown() {
    world.counts.faults += 1
    let servers = Array([0, 1, 2, 3].shuffled(using: &world.random).prefix(2))
    world.trace("servers \(servers.map { $0 + 1 }) are slow")
    world.slow = Set(servers)
    world.after(1 + world.random.below(400_000)) { [self] in world.slow = [] }
  }

  /// One at a time.
  private func fillDisk() {
    guard world.servers.allSatisfy({ !$0.disk.isFull }) else { return }
    world.counts.faults += 1
    let server = world.random.pick(world.servers)
    world.trace("the disk of \(server.index) is full")
    server.disk.isFull = true
    world.after(1 + world.random.below(500_000)) { [self] in
      if server.disk.isFull { world.trace("\(server.index) has room again") }
      server.disk.isFull = false
    }
  }

  private func failSync() {
    world.counts.faults += 1
    let server = world.random.pick(world.servers)
    let isOfLog = world.random.chance(70)
    world.trace("the next fsync of \(server.index) fails, of \(isOfLog ? "rows" : "a copy")")
    if isOfLog { server.disk.failsLogSync = true } else { server.disk.failsCopySync = true }
  }

  /// A block flips on any server; the other copy has a good one.
  private func flip() {
    guard let (server, id, block) = world.copies.flippable() else { return }
    world.counts.faults += 1
    world.trace("block \(block) of \(id.brief) on \(server.index) flips")
    world.copies.noteDamage(on: server)
    server.disk.flip(id, block: block)
  }

  // MARK: Foreign servers

  private func misdirectLater() {
    guard let mean = world.settings.foreigners else { return }
    world.after(1 + foreignRandom.below(2 * mean)) { [self] in
      if world.areFaultsOver { return }
      if world.misdirected.isEmpty { misdirect() }
      misdirectLater()
    }
  }

  private func misdirect() {
    world.counts.faults += 1
    let server = foreignRandom.below(Limits.serverCount)
    let slots =
      foreignRandom.chance(50)
      ? Array(world.clients.indices) : [foreignRandom.below(world.clients.count)]
    let head = world.foreign(at: server, &foreignRandom).server.head
    world.trace("server \(server + 1) of clients \(slots) is a foreign one at \(head)")
    world.misdirected = Set(slots.map { World.Link(slot: $0, server: server) })
    for slot in slots {
      world.servers[server].endSessions(of: world.clients[slot].id)
      world.clients[slot].moved(ServerIndex(server))
    }
    world.after(1 + foreignRandom.below(400_000)) { [self] in redirect() }
  }

  private func redirect() {
    let links = world.misdirected.sorted { ($0.slot, $0.server) < ($1.slot, $1.server) }
    world.misdirected = []
    for link in links {
      world.trace("server \(link.server + 1) of client \(link.slot) is the right one again")
      world.copies.trouble(link)
    }
    for link in links { world.clients[link.slot].moved(ServerIndex(link.server)) }
  }

  // MARK: Forgetting

  private func beginForgetting() {
    switch world.settings.forgetting {
    case .nobody: break
    case .power: every(250_000) { [self] in losePower() }
    case .blank: every(800_000) { [self] in replaceDisk(restoring: false) }
    case .backup:
      every(300_000) { [self] in if !hasForgotten { server.disk.keepBackup() } }
      every(800_000) { [self] in replaceDisk(restoring: true) }
    case .everyPower, .allPower: every(600_000) { [self] in loseAllPower() }
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
    let pause = world.random.pick([5_000, 200_000])
    world.after(1 + world.random.below(pause)) { [self] in start(server) }
  }

  private func losePower(of server: SimulatedServer, leaving count: Int) {
    let promised = server.disk.promised
    server.disk.losePowerOfFiles(&world.random)
    server.disk.losePower(leaving: count)
    for id in promised where server.disk.asking(id) != nil && !server.disk.hasGood(id) {
      world.fail("\(server.index) has a row on stable storage without its copy of \(id.brief)")
    }
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
    world.after(1 + world.random.below(200_000)) { [self] in start(server) }
  }

  private func loseAllPower() {
    world.counts.faults += 1
    world.trace("all servers lose power")
    for server in world.servers { server.stop() }
    if world.settings.forgetting == .allPower {
      world.operations.powerLost(at: world.now)
      world.copies.allForgetting { world.servers.forEach(losePower) }
    } else {
      for server in world.servers { world.copies.forgetting(on: server) { losePower(of: server) } }
    }
    for server in world.servers {
      world.after(1 + world.random.below(100_000)) { [self] in start(server) }
    }
  }

  private func losePower(of server: SimulatedServer) {
    losePower(of: server, leaving: world.random.below(server.disk.unsyncedCount + 1))
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
