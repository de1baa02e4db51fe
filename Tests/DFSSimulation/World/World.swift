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
  /// Nothing happens any more but that clients end.
  private(set) var hasEnded = false
  private var events = EventQueue()
  private(set) var servers: [SimulatedServer] = []
  private(set) var clients: [ShippedClient] = []
  private(set) lazy var operations = OperationHistory(world: self)
  /// The tasks of the clients, and what they run on.
  let tasks = TaskQueue()
  private(set) lazy var loop = SimulatedLoop(world: self)
  private(set) lazy var environment = SimulatedEnvironment(world: self)
  private(set) lazy var copies = WorldCopies(world: self)
  let contents = WorldContents()
  private(set) lazy var versions = WorldVersions(contents)
  private(set) lazy var notes = OperationNotes(world: self)
  private(set) lazy var locks = LockedSections(world: self)
  /// All is whole, and what has layers is settled now.
  private(set) var settlesAll = false
  var counts = SimulationCounts()
  var lastSession = 0
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
    clients = (0..<settings.clients).map { ShippedClient(slot: $0, world: self) }
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
    var end = settings.quietAfter + Simulation.patience
    var nextLook = settings.quietAfter
    while violation == nil, let (time, action) = events.next(), time <= end {
      now = time
      mix(UInt64(truncatingIfNeeded: time))
      action()
      tasks.run()
      if now > nextLook {
        nextLook = now + 100_000
        if isQuiet, settings.hasLayers, !settlesAll {
          trace("all is whole, and is settled now")
          settlesAll = true
          end = now + Simulation.patience
        } else if isQuiet {
          break
        }
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
    hasEnded = true
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
      && copies.problem == nil && (!settlesAll || copies.unsettled == nil)
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
          + ([copies.problem, copies.unsettled].compactMap { $0 }.map { "; \($0)" }.joined()))
    }
    for server in foreign.keys.sorted() where violation == nil {
      guard let change = foreign[server]?.change else { continue }
      fail("a server of another namespace in the place of \(ServerIndex(server)): \(change)")
    }
    let state = servers[0].disk.current
    if violation == nil, let problem = rowsProblem ?? operations.problem(in: state) {
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

  /// How much faster a client's clock goes than the world's: none runs slower by more than a server's runs faster, as
  /// far as the term of leases allows.
  func clockRate() -> Double { random.pick([0.6, 1, 1.6]) }

  func serverClockRate() -> Double {
    mistake == .serverClocksRunAway ? 6 : random.pick([0.6, 1, 1.6])
  }

  // MARK: The network

  func isLost(_ link: Link) -> Bool {
    guard !areFaultsOver, random.chance(settings.loss) else { return false }
    copies.trouble(link)
    return true
  }

  private func isCut(_ link: Link, in cut: Set<Link>) -> Bool {
    guard cut.contains(link) else { return false }
    copies.trouble(link)
    return true
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

  /// A client has ended: the servers that are up learn it from its connections.
  func ended(_ client: ClientID) {
    for server in servers {
      after(1 + random.below(10_000)) { server.endSessions(of: client) }
    }
  }
}
