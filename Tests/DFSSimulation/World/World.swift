internal import DFSCore
internal import DFSReplication
internal import DFSTestSupport

/// One seed's world: the clock, the network between clients and servers, and what happened.
final class World {
  let seed: UInt64
  let mistake: Simulation.Mistake?
  let settings: WorldSettings
  var random: SplitMix64
  private(set) var now = 0
  private var events = EventQueue()
  private(set) var servers: [SimulatedServer] = []
  private(set) var clients: [any WorldClient] = []
  let history = History()
  private(set) lazy var operations = OperationHistory(world: self)
  /// The tasks of the clients, and what they run on.
  let tasks = TaskQueue()
  private(set) lazy var loop = SimulatedLoop(world: self)
  private(set) lazy var environment = SimulatedEnvironment(world: self)
  private(set) lazy var copies = WorldCopies(world: self)
  var counts = SimulationCounts()
  var lastSession = 0
  var lastRefill = 0
  /// Numbers what clients ask about copies.
  var lastOrder = 0
  private var nextClient: UInt64 = 0
  private(set) var violation: String?
  private let keepsTrace: Bool
  private(set) var traceLines: [String] = []
  private var fingerprint: UInt64 = 0xcbf2_9ce4_8422_2325
  private var digests: [HeadKey: RowDigest] = [:]
  /// Links that are cut, from client slot to server and back.
  var cutThere: Set<Link> = []
  var cutBack: Set<Link> = []
  /// Servers that are slow to everybody.
  var slow: Set<Int> = []

  /// Links that lead to a server of another namespace, and those servers.
  var misdirected: Set<Link> = []
  private(set) var foreign: [Int: ForeignServer] = [:]

  struct Link: Hashable {
    let slot: Int
    let server: Int
  }

  private struct HeadKey: Hashable {
    let view: View
    let number: UInt64
  }

  init(seed: UInt64, mistake: Simulation.Mistake?, keepsTrace: Bool) {
    self.seed = seed
    self.mistake = mistake
    self.keepsTrace = keepsTrace
    var random = SplitMix64(seed: seed)
    settings = WorldSettings(&random, seed: seed, mistake: mistake)
    self.random = random
    servers = ServerIndex.all.map { SimulatedServer($0, world: self) }
    clients = (0..<settings.clients).map { slot -> any WorldClient in
      settings.runsPrograms
        ? NamespaceClient(slot: slot, world: self) : SimulatedClient(slot: slot, world: self)
    }
  }

  /// Far more than is left to do when clients have ended.
  private static let lastEvents = 100_000

  // MARK: Running

  func run() -> SimulationReport { tasks.own { runOwned() } }

  private func runOwned() -> SimulationReport {
    trace("world \(settings)")
    for client in clients { after(random.below(5_000)) { client.start() } }
    if settings.hasContents { servers.forEach { $0.beginUpkeep() } }
    Faults(world: self).begin()
    let end = settings.quietAfter + Simulation.patience * settings.timeScale
    var nextLook = settings.quietAfter
    while violation == nil, let (time, action) = events.next(), time <= end {
      now = time
      mix(UInt64(truncatingIfNeeded: time))
      action()
      tasks.run()
      if now > nextLook {
        nextLook = now + 10_000 * settings.timeScale
        if isQuiet { break }
      }
    }
    judge()
    counts.incomplete = copies.lost.count
    endClients()
    return SimulationReport(
      seed: seed, violation: violation, counts: counts, trace: traceLines,
      fingerprint: fingerprint)
  }

  /// Ends the clients, whose tasks and timers hold what holds them.
  private func endClients() {
    guard settings.runsPrograms else { return events = EventQueue() }
    for client in clients { client.end() }
    tasks.run()
    var left = Self.lastEvents
    while left > 0, let (time, action) = events.next() {
      (now, left) = (time, left - 1)
      action()
      tasks.run()
    }
    if left == 0 { fail("the clients do not end") }
    events = EventQueue()
    loop.cancelAll()
    tasks.run()
  }

  /// Whether all is done and right.
  private var isQuiet: Bool {
    clients.allSatisfy(\.isDone) && areServersEqual && servers[0].head.number > 0
      && copies.problem == nil
  }

  var areServersEqual: Bool {
    servers.allSatisfy { $0.isUp && $0.head == servers[0].head }
  }

  private func judge() {
    if violation == nil, !isQuiet {
      let undone = clients.indices.filter { !clients[$0].isDone }.map { "client \($0)" }
      fail(
        "no progress after the faults: \(undone) not done, heads "
          + servers.map { "\($0.isUp ? "" : "down ")\($0.head)" }.joined(separator: " ")
          + (copies.problem.map { "; \($0)" } ?? ""))
    }
    for server in foreign.keys.sorted() where violation == nil {
      guard let change = foreign[server]?.change else { continue }
      fail("a server of another namespace in the place of \(ServerIndex(server)): \(change)")
    }
    let told = settings.runsPrograms ? operations.problem : history.problem
    if violation == nil, let problem = rowsProblem ?? told(servers[0].disk.current) {
      fail(problem)
    }
  }

  private var rowsProblem: String? {
    let first = servers[0].disk.current
    let head = first.replica.head
    if UInt64(first.archive.count) != head.number {
      return "\(first.archive.count) changes make head \(head.number)"
    }
    if Replay(first.archive).digest(at: head.number) != head.digest {
      return "the rows are not those that the changes make"
    }
    for server in servers where server.disk.current.rows != first.rows {
      return "\(server.index) and DFS1 have equal heads and different rows"
    }
    return nil
  }

  func fail(_ problem: String) {
    trace("VIOLATION \(problem)")
    violation = violation ?? problem
  }

  /// Equal heads must have equal digests, whenever and on whichever server they are seen.
  func observe(_ head: Head, of server: SimulatedServer) {
    let key = HeadKey(view: head.view, number: head.number)
    let known = digests[key]
    if let known, known != head.digest {
      fail("\(server.index) has other rows at head \(head) than were seen at it before")
    }
    digests[key] = head.digest
    mix(head.digest.low)
  }

  // MARK: Time

  func after(_ delay: Int, _ action: @escaping () -> Void) {
    events.schedule(at: now + max(1, delay), action)
  }

  var areFaultsOver: Bool { now >= settings.quietAfter }

  func delay(_ link: Link) -> Int {
    let mean = settings.meanDelay
    let isSlow =
      settings.hasSlowMessages && !areFaultsOver && random.chance(20) || slow.contains(link.server)
    let slow = isSlow ? 10 : 1
    if slow > 1 { copies.trouble(link) }
    return (1 + random.below(2 * mean)) * slow
  }

  func trace(_ line: @autoclosure () -> String) {
    if keepsTrace { traceLines.append("\(now) \(line())") }
  }

  private func mix(_ value: UInt64) { fingerprint = (fingerprint ^ value) &* 0x100_0000_01b3 }

  func nextClientID() -> ClientID {
    nextClient += 1
    return ClientID(nextClient)
  }

  /// Whether servers sync everything before they answer (`dfs --sync always`).
  var syncsAlways: Bool { settings.forgetting == .everyPower && mistake != .appendsNotSynced }

  /// Whether a server syncs an append before it answers.
  func syncsAppend() -> Bool {
    if syncsAlways || mistake == .appendsNotSynced { return syncsAlways }
    return random.chance(settings.syncs)
  }

  // MARK: The network

  func isLost(_ link: Link) -> Bool {
    guard !areFaultsOver, random.chance(settings.loss) else { return false }
    copies.trouble(link)
    return true
  }

  private func isDoubled() -> Bool { !areFaultsOver && random.chance(settings.doubling) }

  private func isCut(_ link: Link, in cut: Set<Link>) -> Bool {
    guard cut.contains(link) else { return false }
    copies.trouble(link)
    return true
  }

  /// Sends a request; `answer` is called once, many times or never, with nil if the server is known
  /// not to have got it.
  func send(
    _ request: SimulatedRequest, from slot: Int, to server: ServerIndex,
    _ answer: @escaping (SimulatedReply?) -> Void
  ) {
    counts.messages += 1
    let link = Link(slot: slot, server: server.value)
    if isLost(link) { return }
    after(delay(link)) { [self] in deliver(request, link, target(link), answer) }
    if isDoubled() {
      after(delay(link)) { [self] in deliver(request, link, target(link), answer) }
    }
  }

  /// Whether nothing passes one way, or the other.
  func isCut(_ link: Link) -> Bool { isCut(link, in: cutThere) || isCut(link, in: cutBack) }

  /// Whom a link leads to.
  func target(_ link: Link) -> SimulatedServer {
    guard misdirected.contains(link), let foreign = foreign[link.server] else {
      return servers[link.server]
    }
    copies.trouble(link)
    return foreign.server
  }

  /// The server of another namespace that stands for one of the four.
  func foreign(at server: Int, _ random: inout SplitMix64) -> ForeignServer {
    if let present = foreign[server] { return present }
    let made = ForeignServer(ServerIndex(server), world: self, &random)
    foreign[server] = made
    return made
  }

  /// What a client proposes as the identity of the namespace, without a draw.
  func namespace(proposedBy client: ClientID) -> NamespaceID? {
    mistake == .namespacesIgnored ? nil : NamespaceID(high: 1, low: client.value)
  }

  private func deliver(
    _ request: SimulatedRequest, _ link: Link, _ server: SimulatedServer,
    _ answer: @escaping (SimulatedReply?) -> Void
  ) {
    if isCut(link, in: cutThere) { return }
    guard server.isUp else {
      copies.trouble(link)
      if random.chance(50), !cutBack.contains(link) { after(delay(link)) { answer(nil) } }
      return
    }
    if server.stillUntil > now {
      copies.trouble(link)
      after(server.stillUntil - now + random.below(100)) { [self] in
        deliver(request, link, server, answer)
      }
      return
    }
    let reply = server.handle(request, from: link.slot)
    if server.endIfFailed() { return copies.trouble(link) }
    if case .failed = reply { copies.trouble(link) }
    if case .copy(.failed) = reply { copies.trouble(link) }
    trace("\(server.index) from client \(link.slot): \(request.brief) -> \(reply.brief)")
    if isLost(link) || isCut(link, in: cutBack) { return }
    after(delay(link)) { answer(reply) }
  }

  func push(
    _ keys: SimulatedPush, number: Int, from server: SimulatedServer,
    on session: SimulatedServer.Session
  ) {
    if settings.runsPrograms {
      return clients[session.slot].pushed(
        keys, head: server.head, number: number, from: server.index, session: session.id)
    }
    let link = Link(slot: session.slot, server: server.index.value)
    if isLost(link) || cutBack.contains(link) { return }
    let head = server.head
    after(delay(link)) { [self] in
      clients[session.slot].pushed(
        keys, head: head, number: number, from: server.index, session: session.id)
    }
  }

  /// A client has ended: the servers that are up learn it from its connections.
  func ended(_ client: ClientID) {
    for server in servers {
      after(1 + random.below(10_000)) { server.endSessions(of: client) }
    }
  }
}
