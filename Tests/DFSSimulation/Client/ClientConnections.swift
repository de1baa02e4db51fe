internal import DFSClient
internal import DFSConfiguration
internal import DFSCore
internal import DFSSystem
internal import DFSTestSupport
internal import DFSWire
internal import Logging
internal import NIOCore

/// A client's connections to four servers: what `Cluster` is over TCP, over the network of a world.
///
/// A connection delivers in order, and what it does not deliver ends it: both sides learn that by and by,
/// and what was under way may still arrive at the server. One that does not answer for long is given up.
///
/// `@unchecked Sendable`: as `SimulatedLoop`.
final class ClientConnections: ServerConnections, @unchecked Sendable {
  typealias Answered = (reply: Reply, body: ByteBuffer?)
  typealias Answer = @Sendable (Result<Answered, DFSError>) -> Void

  /// What is on its way in one direction.
  struct Way {
    /// When what was sent last arrives.
    var last: Int
    var messages: [(time: Int, arrival: () -> Bool)] = []
    var isArmed = false
  }

  final class Connection {
    let server: ServerIndex
    let target: SimulatedServer
    let session: Int
    let start: Int
    var isOpen = true
    var there: Way
    var back: Way
    var calls: [Int: (request: Request, answer: Answer)] = [:]

    init(_ server: ServerIndex, to target: SimulatedServer, session: Int, now: Int) {
      (self.server, self.target, self.session) = (server, target, session)
      (there, back) = (Way(last: now), Way(last: now))
      start = target.starts
    }
  }

  /// A server that answers nothing for so long is given up.
  private static let patience = 1_500_000

  unowned let world: World
  let slot: Int
  let client: ClientID
  let identities: Identities
  private var observers: [Observer] = []
  private var connections: [Connection?] = Array(repeating: nil, count: Limits.serverCount)
  /// Those that copies are sent on, and are fetched on.
  var copyConnections: [Connection?] = Array(repeating: nil, count: Limits.serverCount)
  /// Connected, and its greeting has come.
  private var greeted: ServerSet = []
  /// The latest try to connect to each server.
  private var tries = [Int](repeating: 0, count: Limits.serverCount)
  private var lastCall = 0
  /// Until when there were fewer than three servers: then what the others have is shown, whatever its age.
  private var lastShort = 0
  private(set) var hasEnded = false
  private var mistakes: ClientMistakes
  private var views: ClientViews

  let loop: any EventLoop
  let environment: any Environment
  let logger = Logger(label: "simulation") { _ in SwiftLogNoOpLogHandler() }

  init(world: World, slot: Int, client: ClientID) {
    (self.world, self.slot, self.client) = (world, slot, client)
    loop = world.loop
    environment =
      world.settings.hasLeases || world.settings.hasLocks
      ? SimulatedEnvironment(world: world, rate: world.clockRate()) : world.environment
    mistakes = ClientMistakes(world: world)
    views = ClientViews(world: world, slot: slot)
    identities = Identities(Self.configuration, user: Self.user)
  }

  private static let user: UserName = {
    guard let user = try? UserName("simulated") else { preconditionFailure("it is a name") }
    return user
  }()

  static let configuration = ClientConfiguration(
    servers: ServerIndex.all.map {
      ServerAddress(name: "\($0)", host: "world", port: 1 + $0.value)
    })

  // MARK: Connecting

  func start() async { for server in ServerIndex.all { connect(server) } }

  func untilTried(timeout: Duration) async {}
  func observe(_ f: @escaping Observer) { observers.append(f) }

  private func tell(_ event: ConnectionEvent, of server: ServerIndex) {
    for observer in observers { observer(server, event) }
  }

  func connect(_ server: ServerIndex) {
    guard !hasEnded else { return }
    tries[server.value] += 1
    let number = tries[server.value]
    let link = World.Link(slot: slot, server: server.value)
    world.after(world.delay(link)) { [self] in
      guard !hasEnded, tries[server.value] == number else { return }
      let target = world.target(link)
      guard !world.isCut(link), target.isAnswering, target.leases.isServing(client) else {
        return connectLater(server)
      }
      let session = target.open(client, slot: slot)
      let connection = Connection(server, to: target, session: session, now: world.now)
      connections[server.value] = connection
      let head = target.shownHead
      back(connection) { [self] in opened(connection, head) }
      target.joined(session)
    }
  }

  private func connectLater(_ server: ServerIndex) {
    world.after(5_000 + world.random.below(world.settings.reconnect)) { [self] in
      if connections[server.value] == nil { connect(server) }
    }
  }

  private func opened(_ connection: Connection, _ head: Head) {
    note(head, of: connection.server)
    greeted.insert(connection.server)
    guard !identities.foreign.contains(connection.server) else { return }
    tell(.connected, of: connection.server)
  }

  /// The connection has ended, as the client sees it.
  private func lose(_ connection: Connection) {
    guard connection.isOpen else { return }
    let server = connection.server
    connection.isOpen = false
    let isForCopies = copyConnections[server.value] === connection
    if isForCopies { copyConnections[server.value] = nil } else { lost(connection) }
    world.copies.trouble(World.Link(slot: slot, server: server.value))
    // What was sent may come late, and then the server learns it.
    let late = connection.there.messages.isEmpty ? 0 : world.random.below(60_000)
    for index in connection.there.messages.indices {
      connection.there.messages[index].time += late
    }
    world.after(1 + late + world.random.below(20_000)) {
      connection.target.endSession(connection.session)
    }
    let calls = connection.calls.sorted { $0.key < $1.key }.map(\.value.answer)
    connection.calls = [:]
    let lost = DFSError(.disconnected, "\(server) closed the connection")
    for answer in calls { world.tasks.soon { answer(.failure(lost)) } }
    if !isForCopies { connectLater(server) }
  }

  private func lost(_ connection: Connection) {
    let server = connection.server
    if connections[server.value] === connection { connections[server.value] = nil }
    if reachable.count < Limits.quorum { lastShort = world.now }
    if greeted.contains(server) { tell(.disconnected, of: server) }
    greeted.remove(server)
  }

  /// The address leads elsewhere.
  func moved(_ server: ServerIndex) {
    for case let connection? in [copyConnections[server.value], connections[server.value]] {
      lose(connection)
    }
    connect(server)
  }

  /// Nobody is there any more.
  func end() {
    hasEnded = true
    for case let connection? in copyConnections + connections { lose(connection) }
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
  private func there(_ connection: Connection, _ action: @escaping () -> Void) {
    let link = link(connection)
    send(on: connection, \.there) { [self] in
      if world.cutThere.contains(link) { return false }
      // What is on its way when the client gives up arrives, or not.
      if !connection.isOpen, world.random.chance(50) { return true }
      guard connection.target.isUp, connection.target.starts == connection.start,
        connection.target.hasSession(connection.session)
      else {
        world.after(world.delay(link)) { [self] in lose(connection) }
        return true
      }
      if connection.target.stillUntil > world.now { return false }
      action()
      return true
    }
  }

  private func back(_ connection: Connection, _ action: @escaping () -> Void) {
    let link = link(connection)
    send(on: connection, \.back) { [self] in
      if world.cutBack.contains(link) { return false }
      if connection.isOpen { action() }
      return true
    }
  }

  /// Sends one way, where nothing overtakes what was sent before.
  /// - Parameter arrival: false for as long as it cannot arrive yet.
  private func send(
    on connection: Connection, _ way: ReferenceWritableKeyPath<Connection, Way>,
    _ arrival: @escaping () -> Bool
  ) {
    guard let delay = delay(connection) else { return }
    let time = max(world.now + delay, connection[keyPath: way].last + 1)
    connection[keyPath: way].last = time
    connection[keyPath: way].messages.append((time, arrival))
    if !connection[keyPath: way].isArmed { deliver(connection, way, at: time) }
  }

  /// Delivers what is due at `time`; what cannot arrive yet is tried again, and the rest waits behind it.
  private func deliver(
    _ connection: Connection, _ way: ReferenceWritableKeyPath<Connection, Way>, at time: Int
  ) {
    connection[keyPath: way].isArmed = true
    world.after(time - world.now) { [self] in
      while let next = connection[keyPath: way].messages.first {
        if next.time > world.now { return deliver(connection, way, at: next.time) }
        guard next.arrival() else {
          if hasEnded {
            connection[keyPath: way].messages = []
            break
          }
          world.copies.trouble(link(connection))
          world.counts.messages += 1
          return deliver(connection, way, at: world.now + 2_000)
        }
        connection[keyPath: way].messages.removeFirst()
      }
      connection[keyPath: way].isArmed = false
    }
  }

  /// How long a message takes; nil if it ends the connection.
  private func delay(_ connection: Connection) -> Int? {
    let link = link(connection)
    world.counts.messages += 1
    guard world.isLost(link) else { return world.delay(link) }
    // It is sent once more, or the connection is reset.
    if world.random.chance(80) { return world.delay(link) + world.random.below(20_000) }
    world.after(world.delay(link)) { [self] in lose(connection) }
    return nil
  }

  private func link(_ connection: Connection) -> World.Link {
    World.Link(slot: slot, server: connection.server.value)
  }

  func pushed(_ keys: SimulatedPush, head: Head, from server: ServerIndex, session: Int) {
    guard let connection = connections[server.value], connection.session == session else { return }
    back(connection) { [self] in
      guard !identities.foreign.contains(server) else { return }
      note(head, of: server)
      guard !identities.foreign.contains(server) else { return }
      world.trace(
        "client \(slot) hears from \(server) of \(keys.map { "\($0)" } ?? "all rows"), \(head.brief)"
      )
      let asked = connections.flatMap { $0.map { Array($0.calls.values.map(\.request)) } ?? [] }
      if mistakes.ignoresPush(whileAsking: asked) { return }
      let push = keys.map { Push.changed(Push.Changed($0, head: head)) }
      tell(.push(push ?? .everythingChanged(Push.EverythingChanged(head: head))), of: server)
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

  func reconnect() async { await reconnect(within: .milliseconds(20)) }
  func reconnect(within patience: Duration) async {
    for server in ServerIndex.all where connections[server.value] == nil { connect(server) }
    try? await environment.sleep(for: patience)
  }

  func shutdown() async { end() }
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
    _ server: ServerIndex, _ request: Request, timeout: Duration,
    _ answer: @escaping @Sendable (Result<Reply, DFSError>) -> Void
  ) {
    guard !hasEnded, reachable.contains(server), let connection = connections[server.value] else {
      return world.tasks.soon { [self] in answer(.failure(notConnected(server))) }
    }
    call(connection, request, timeout: timeout) { answer($0.map(\.reply)) }
  }

  func notConnected(_ server: ServerIndex) -> DFSError {
    DFSError(.disconnected, "\(server) is not connected")
  }

  func call(
    _ connection: Connection, _ request: Request, _ body: ByteBuffer? = nil, timeout: Duration,
    _ answer: @escaping Answer
  ) {
    guard connection.isOpen else {
      return world.tasks.soon { [self] in answer(.failure(notConnected(connection.server))) }
    }
    if let reply = mistakes.answer(insteadOf: request, to: connection.server) {
      return world.tasks.soon { answer(.success((reply, nil))) }
    }
    if case .namespace(let asked) = request { views.sends(asked.step, to: connection.server) }
    let sent = mistakes.sent(request)
    lastCall += 1
    let number = lastCall
    connection.calls[number] = (request, answer)
    there(connection) { [self] in
      connection.target.handle(sent, body, of: connection.session, by: client) { [self] answered in
        take(answered, to: request, number, on: connection)
      }
    }
    let limit = Int(timeout / .microseconds(1))
    world.after(min(limit, Self.patience)) { [self] in
      guard let (_, answer) = connection.calls[number] else { return }
      if limit > Self.patience { return lose(connection) }
      connection.calls[number] = nil
      answer(.failure(DFSError(.timedOut, "\(connection.server) did not answer within \(timeout)")))
    }
  }

  /// A server answers.
  private func take(
    _ answered: Answered, to request: Request, _ number: Int, on connection: Connection
  ) {
    world.trace(
      "\(connection.target.index) from client \(slot): \(request.brief) -> \(answered.reply.brief)"
    )
    if case .failed = answered.reply { world.copies.trouble(link(connection)) }
    back(connection) { [self] in
      guard let call = connection.calls.removeValue(forKey: number) else { return }
      if case .namespaceReply(let reply) = answered.reply {
        views.told(reply, by: connection.server)
      }
      if case .missingList(let missing) = answered.reply {
        views.lacks(missing, connection.server)
      }
      let reply = mistakes.told(answered.reply, to: request, by: connection.server)
      call.answer(.success((reply, answered.body)))
    }
  }
}
