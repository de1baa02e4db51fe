internal import DFSConfiguration
internal import DFSCore
internal import DFSWire
internal import Logging
internal import NIOCore
internal import NIOPosix
internal import Synchronization

/// The four servers, as one client process sees them: who is reachable, and questions to each.
///
/// Invariants:
/// - A server is `reachable` from the moment its observers were told `connected` until it is lost,
///   stops, or leaves questions open for two seconds.
/// - Events and answers of one server's control connection come in the order of that connection.
final class Cluster: ServerConnections {
  let configuration: ClientConfiguration
  let client: ClientID
  let logger: Logger
  /// For what blocks: reading contents, hashing.
  let threads: NIOThreadPool
  /// Of all control connections.
  let controlLoop: any EventLoop
  /// Whose the servers are; those of others are not used.
  let identities: Identities
  private let links: [ServerLink]
  private let observers: Observers

  init(
    configuration: ClientConfiguration, credentials: RenewableCredentials, client: ClientID,
    logger: Logger
  ) {
    let observers = Observers()
    // Never shut down: late timers of connections that ended find their loop.
    let group = MultiThreadedEventLoopGroup.singleton
    let threads = NIOThreadPool(numberOfThreads: 4)
    threads.start()
    let identities = Identities(configuration, user: credentials.credentials.user)
    let common = ServerLink.Common(
      configuration: configuration, account: ServerLink.Account(credentials), client: client,
      threads: threads,
      identities: identities, logger: logger, tell: observers.tell)
    self.identities = identities
    self.configuration = configuration
    self.client = client
    self.logger = logger
    self.threads = threads
    self.observers = observers
    // One loop for what is small: a question to all four wakes one thread, as do their answers.
    let loop = group.next()
    controlLoop = loop
    links = ServerIndex.all.map { ServerLink($0, common: common, loop: loop, group: group) }
    // The links must not keep alive what keeps them alive.
    common.neighbours.ask { [weak self] in self?.reachable ?? [] }
  }

  func observe(_ f: @escaping Observer) { observers.add(f) }

  func start() async {
    for link in links { link.start() }
  }

  /// Once three servers are up, the others are waited for no longer than this.
  private static let stragglerPatience = Duration.milliseconds(400)

  /// Waits until each server is up or has failed once, at the longest for `timeout`; and not for long
  /// once three are up, so that one frozen server keeps nobody waiting.
  func untilTried(timeout: Duration) async {
    await withTaskGroup(of: Void.self) { group in
      group.addTask { [links] in
        for link in links { await link.untilTried() }
      }
      group.addTask { _ = try? await Task.sleep(for: timeout) }
      group.addTask {
        while !Task.isCancelled, self.reachable.count < Limits.quorum {
          try? await Task.sleep(for: .milliseconds(20))
        }
        try? await Task.sleep(for: Self.stragglerPatience)
      }
      await group.next()
      group.cancelAll()
    }
  }

  func reconnect() async { await reconnect(within: Self.stragglerPatience) }

  func reconnect(within patience: Duration) async {
    for link in links { _ = link.retryNow() }
    await wait(for: links, within: patience)
  }

  func retryRefused() async {
    let refused = links.filter(\.wasRefused)
    for link in refused { link.isAsked() }
    await wait(for: refused, within: Self.stragglerPatience)
  }

  private func wait(for links: [ServerLink], within patience: Duration) async {
    let deadline = ContinuousClock.now + patience
    while links.contains(where: \.isConnecting), ContinuousClock.now < deadline, !Task.isCancelled {
      try? await Task.sleep(for: .milliseconds(5))
    }
  }

  /// Who asks for them is about to ask them something: one that refused the login is tried once more.
  var reachable: ServerSet {
    var up: ServerSet = []
    for link in links {
      if link.isReachable { up.insert(link.server) } else { link.isAsked() }
    }
    return up.subtracting(identities.foreign)
  }

  func states() -> [ServerState] {
    links.map { link in
      let state = link.state
      guard state.isUp, let problem = identities.problem(of: link.server) else { return state }
      return ServerState(
        server: state.server, address: state.address, isUp: false, problem: problem)
    }
  }

  func load(of server: ServerIndex) -> Int { links[server.value].load }

  /// On the bulk connection that has less to do.
  func getPart(
    _ request: Request.GetPart, from server: ServerIndex, timeout: Duration
  ) async throws(DFSError) -> (extent: PartExtent, body: ByteBuffer?) {
    let connection = try await bulk(server, .any)
    let (extent, body) = try await connection.submit(request, timeout: timeout).answer()
    return (extent, body)
  }

  func sender(to server: ServerIndex, stream: UInt64) async throws(DFSError) -> any CopySender {
    try await bulk(server, .stream(stream))
  }

  private func bulk(
    _ server: ServerIndex, _ use: BulkConnections.Use
  ) async throws(DFSError) -> Connection {
    if let problem = identities.problem(of: server) { throw problem }
    return try await links[server.value].bulk(use)
  }

  func control(_ server: ServerIndex) throws(DFSError) -> Connection {
    if let problem = identities.problem(of: server) { throw problem }
    return try links[server.value].control()
  }

  func blocking<Value: Sendable>(
    _ body: @escaping @Sendable () throws -> Value
  ) async throws -> Value {
    try await threads.runIfActive(body)
  }

  func shutdown() async {
    for link in links { await link.stop() }
    try? await threads.shutdownGracefully()
  }
}

/// Who is told of events.
private final class Observers: Sendable {
  private let all = Mutex<[Cluster.Observer]>([])

  func add(_ observer: @escaping Cluster.Observer) { all.withLock { $0.append(observer) } }

  @Sendable func tell(_ server: ServerIndex, _ event: ConnectionEvent) {
    for observer in all.withLock({ $0 }) { observer(server, event) }
  }
}
