internal import DFSClient
internal import DFSConfiguration
internal import DFSCore
internal import DFSSystem
internal import DFSTestSupport
internal import DFSWire
internal import NIOCore

/// A client's four connections: what `Cluster` is over TCP, over the network of a world.
///
/// A connection delivers in order, and what it does not deliver ends it: both sides learn that by and by,
/// and what was under way may still arrive at the server. One that does not answer for long is given up.
///
/// `@unchecked Sendable`: as `SimulatedLoop`.
final class ClientConnections: ServerRequests, @unchecked Sendable {
  typealias Answer = @Sendable (Result<Reply, DFSError>) -> Void

  private final class Connection {
    let target: SimulatedServer
    let session: Int
    let start: Int
    var isOpen = true
    /// When what was sent last arrives, there and back.
    var last: (there: Int, back: Int)
    var calls: [Int: Answer] = [:]

    init(to target: SimulatedServer, session: Int, now: Int) {
      (self.target, self.session, last) = (target, session, (now, now))
      start = target.starts
    }
  }

  /// A server that answers nothing for so long is given up.
  private static let patience = 1_500_000

  private unowned let world: World
  private let slot: Int
  private let client: ClientID
  private let cache: RowCache
  private let identities: Identities
  private var connections: [Connection?] = Array(repeating: nil, count: Limits.serverCount)
  /// Connected, and its greeting has come.
  private var greeted: ServerSet = []
  /// The latest try to connect to each server.
  private var tries = [Int](repeating: 0, count: Limits.serverCount)
  private var lastCall = 0
  /// Until when there were fewer than three servers: then what the others have is shown, whatever its age.
  private var lastShort = 0
  private var hasEnded = false
  /// What is done when a server is connected.
  var connected: (ServerIndex) -> Void = { _ in }

  let loop: any EventLoop
  let environment: any Environment

  init(world: World, slot: Int, client: ClientID, cache: RowCache) {
    (self.world, self.slot, self.client, self.cache) = (world, slot, client, cache)
    (loop, environment) = (world.loop, world.environment)
    identities = Identities(Self.configuration, user: Self.user)
  }

  private static let user: UserName = {
    guard let user = try? UserName("simulated") else { preconditionFailure("it is a name") }
    return user
  }()

  private static let configuration = ClientConfiguration(
    servers: ServerIndex.all.map {
      ServerAddress(name: "\($0)", host: "world", port: 1 + $0.value)
    })

  // MARK: Connecting

  func begin() { for server in ServerIndex.all { connect(server) } }

  func connect(_ server: ServerIndex) {
    guard !hasEnded else { return }
    tries[server.value] += 1
    let number = tries[server.value]
    let link = World.Link(slot: slot, server: server.value)
    world.after(world.delay(link)) { [self] in
      guard !hasEnded, tries[server.value] == number else { return }
      let target = world.target(link)
      guard !world.isCut(link), target.isAnswering else { return connectLater(server) }
      let session = target.open(client, slot: slot)
      let connection = Connection(to: target, session: session, now: world.now)
      connections[server.value] = connection
      let head = target.head
      back(connection, server) { [self] in opened(connection, server, head) }
    }
  }

  private func connectLater(_ server: ServerIndex) {
    world.after(5_000 + world.random.below(300_000)) { [self] in
      if connections[server.value] == nil { connect(server) }
    }
  }

  private func opened(_ connection: Connection, _ server: ServerIndex, _ head: Head) {
    note(head, of: server)
    greeted.insert(server)
    guard !identities.foreign.contains(server) else { return }
    cache.connected(server)
    connected(server)
  }

  /// The connection has ended, as the client sees it.
  private func lose(_ connection: Connection, _ server: ServerIndex) {
    guard connection.isOpen else { return }
    connection.isOpen = false
    if connections[server.value] === connection { connections[server.value] = nil }
    if reachable.count < Limits.quorum { lastShort = world.now }
    if greeted.contains(server) { cache.disconnected(server) }
    greeted.remove(server)
    world.copies.trouble(World.Link(slot: slot, server: server.value))
    // The server learns it some time.
    world.after(1 + world.random.below(20_000)) { connection.target.endSession(connection.session) }
    let calls = connection.calls.sorted { $0.key < $1.key }.map(\.value)
    connection.calls = [:]
    let lost = DFSError(.disconnected, "\(server) closed the connection")
    for answer in calls { world.tasks.soon { answer(.failure(lost)) } }
    connectLater(server)
  }

  /// The address leads elsewhere.
  func moved(_ server: ServerIndex) {
    if let connection = connections[server.value] { lose(connection, server) }
    connect(server)
  }

  /// Nobody is there any more.
  func end() {
    hasEnded = true
    for server in ServerIndex.all {
      if let connection = connections[server.value] { lose(connection, server) }
    }
  }

  /// What a server tells may show that it, or another one, is a foreign one.
  private func note(_ head: Head, of server: ServerIndex) {
    if reachable.count < Limits.quorum { lastShort = world.now }
    identities.heard(head.view.namespace, of: server)
    if reachable.count < Limits.quorum { lastShort = world.now }
  }

  /// Whether there were three servers all the time since then.
  func hadQuorum(since time: Int) -> Bool {
    lastShort < time && reachable.count >= Limits.quorum
  }

  // MARK: The network

  /// Performs `action` when what is sent now arrives at the server; what was sent before arrives before.
  private func there(
    _ connection: Connection, _ server: ServerIndex, _ action: @escaping () -> Void
  ) {
    let link = World.Link(slot: slot, server: server.value)
    send(on: connection, server, \.there) { [self] in
      if world.cutThere.contains(link) { return nil }
      // What is on its way when the client gives up arrives, or not.
      if !connection.isOpen, world.random.chance(50) { return true }
      guard connection.target.isUp, connection.target.starts == connection.start else {
        world.after(world.delay(link)) { [self] in lose(connection, server) }
        return true
      }
      if connection.target.stillUntil > world.now { return nil }
      action()
      return true
    }
  }

  private func back(
    _ connection: Connection, _ server: ServerIndex, _ action: @escaping () -> Void
  ) {
    let link = World.Link(slot: slot, server: server.value)
    send(on: connection, server, \.back) { [self] in
      if world.cutBack.contains(link) { return nil }
      if connection.isOpen { action() }
      return true
    }
  }

  /// Sends one way, where nothing overtakes what was sent before.
  private func send(
    on connection: Connection, _ server: ServerIndex,
    _ way: WritableKeyPath<(there: Int, back: Int), Int>, _ arrival: @escaping () -> Bool?
  ) {
    guard let delay = delay(connection, server) else { return }
    let time = max(world.now + delay, connection.last[keyPath: way] + 1)
    connection.last[keyPath: way] = time
    arrive(at: time, arrival)
  }

  /// Tries again for as long as `arrival` says that it cannot arrive yet.
  private func arrive(at time: Int, _ arrival: @escaping () -> Bool?) {
    world.after(time - world.now) { [self] in
      guard arrival() == nil else { return }
      if hasEnded { return }
      world.counts.messages += 1
      arrive(at: world.now + 2_000, arrival)
    }
  }

  /// How long a message takes; nil if it ends the connection.
  private func delay(_ connection: Connection, _ server: ServerIndex) -> Int? {
    let link = World.Link(slot: slot, server: server.value)
    world.counts.messages += 1
    guard world.isLost(link) else { return world.delay(link) }
    // It is sent once more, or the connection is reset.
    if world.random.chance(80) { return world.delay(link) + world.random.below(20_000) }
    world.after(world.delay(link)) { [self] in lose(connection, server) }
    return nil
  }

  func pushed(_ keys: SimulatedPush, head: Head, from server: ServerIndex, session: Int) {
    guard let connection = connections[server.value], connection.session == session else { return }
    back(connection, server) { [self] in
      guard !identities.foreign.contains(server) else { return }
      note(head, of: server)
      guard !identities.foreign.contains(server) else { return }
      world.trace(
        "client \(slot) hears from \(server) of \(keys.map { "\($0)" } ?? "all rows"), \(head.brief)"
      )
      cache.pushed(keys, head: head, by: server)
    }
  }

  // MARK: ServerRequests

  var reachable: ServerSet {
    ServerSet(ServerIndex.all.filter { connections[$0.value] != nil }).intersection(greeted)
      .subtracting(identities.foreign)
  }

  var namespace: NamespaceID? { identities.namespace }
  func agreed(on namespace: NamespaceID?) { identities.agreed(namespace) }

  func heard(_ head: Head, of server: ServerIndex) throws(DFSError) {
    note(head, of: server)
    if let problem = identities.problem(of: server) { throw problem }
  }

  func states() -> [ServerState] {
    let reachable = reachable
    return ServerIndex.all.map {
      ServerState(
        server: $0, address: Self.configuration.servers[$0.value], isUp: reachable.contains($0),
        problem: nil, mayReturn: !hasEnded && !reachable.contains($0))
    }
  }

  func reconnect() async {
    for server in ServerIndex.all where connections[server.value] == nil { connect(server) }
    try? await environment.sleep(for: .milliseconds(20))
  }

  func retryRefused() async {}

  func exchange(
    _ server: ServerIndex, _ request: Request, timeout: Duration
  ) async throws(DFSError) -> Reply {
    let result = await withCheckedContinuation { continuation in
      exchange(server, request, timeout: timeout) { continuation.resume(returning: $0) }
    }
    return try result.get()
  }

  func exchange(
    _ server: ServerIndex, _ request: Request, timeout: Duration, _ answer: @escaping Answer
  ) {
    guard !hasEnded, reachable.contains(server), let connection = connections[server.value] else {
      return world.tasks.soon {
        answer(.failure(DFSError(.disconnected, "\(server) is not connected")))
      }
    }
    lastCall += 1
    let number = lastCall
    connection.calls[number] = answer
    there(connection, server) { [self] in
      let reply = connection.target.handle(request, of: connection.session)
      if connection.target.endIfFailed() { return }
      world.trace(
        "\(connection.target.index) from client \(slot): \(request.brief) -> \(reply.brief)")
      back(connection, server) {
        connection.calls.removeValue(forKey: number)?(.success(reply))
      }
    }
    let limit = Int(timeout / .microseconds(1))
    world.after(min(limit, Self.patience)) { [self] in
      guard let answer = connection.calls[number] else { return }
      if limit > Self.patience { return lose(connection, server) }
      connection.calls[number] = nil
      answer(.failure(DFSError(.timedOut, "\(server) did not answer within \(timeout)")))
    }
  }
}
