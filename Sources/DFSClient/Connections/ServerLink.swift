internal import DFSConfiguration
internal import DFSCore
internal import DFSSystem
internal import DFSWire
internal import Logging
internal import NIOCore
internal import NIOPosix
internal import Synchronization

/// The link to one server: a control connection that is made again whenever it ends, and bulk
/// connections beside it. All its events happen on one event loop; `ServerLinkState` decides.
final class ServerLink: Sendable {
  /// What the links of a cluster share.
  struct Common: Sendable {
    let configuration: ClientConfiguration
    let account: Account
    let client: ClientID
    let threads: NIOThreadPool
    let scramCache = ScramCache()
    let identities: Identities
    let logger: Logger
    let tell: @Sendable (ServerIndex, ConnectionEvent) -> Void
    let neighbours = Neighbours()
  }

  /// Who else is up.
  final class Neighbours: Sendable {
    private let reachable = Mutex<(@Sendable () -> ServerSet)?>(nil)
    var up: ServerSet { reachable.withLock { $0 }?() ?? [] }
    func ask(_ reachable: @escaping @Sendable () -> ServerSet) {
      self.reachable.withLock { $0 = reachable }
    }
  }

  /// The credentials that are good now, as far as is known.
  final class Account: Sendable {
    private let source: RenewableCredentials
    private let current: Mutex<Credentials>

    init(_ source: RenewableCredentials) {
      self.source = source
      current = Mutex(source.credentials)
    }

    var credentials: Credentials { current.withLock { $0 } }

    /// Reads the password again; blocks. What cannot be read now leaves the credentials as they are.
    func renew(_ logger: Logger) {
      do throws(DFSError) {
        guard let new = try source.renewed(), new.user == source.credentials.user else { return }
        current.withLock { $0 = new }
      } catch {
        logger.debug("the password cannot be read again: \(error)")
      }
    }
  }

  private struct Inside {
    var state: ServerLinkState
    /// The next attempt.
    var timer: Scheduled<Void>?
    var control: Connection?
  }

  /// Bytes of putPart and getPart under way on one bulk connection.
  static let bulkWindowBytes = 8 << 20
  static let bulkIdleLimit = TimeAmount.seconds(60)

  let server: ServerIndex
  let address: ServerAddress
  private let peer: String
  private let common: Common
  private let loop: any EventLoop
  private let bulk: BulkConnections
  private let inside: Mutex<Inside>
  private let tried = Promise<Void>()

  /// - Parameters:
  ///   - loop: of the control connection.
  ///   - group: of the bulk connections.
  init(
    _ server: ServerIndex, common: Common, loop: any EventLoop, group: any EventLoopGroup
  ) {
    let address = common.configuration.servers[server.value]
    let peer = "\(address.name) (\(address.host):\(address.port))"
    self.server = server
    self.address = address
    self.peer = peer
    self.common = common
    self.loop = loop
    bulk = BulkConnections(
      settings: { Self.settings(address, peer, common, isControl: false) }, group: group)
    inside = Mutex(
      Inside(
        state: ServerLinkState(
          peer: peer, callTimeout: .seconds(common.configuration.callTimeoutSeconds))))
  }

  // MARK: For the cluster

  var isConnecting: Bool { inside.withLock { $0.state.phase == .connecting } }

  /// Whether it refused the login, or did not fit the configuration, last time.
  var wasRefused: Bool { inside.withLock { $0.state.wasRefused } }

  /// Connects now if it waits to do so.
  /// - Returns: whether it does.
  func retryNow() -> Bool {
    let actions = inside.withLock { $0.state.retryNow(now: .now()) }
    guard !actions.isEmpty else { return false }
    loop.execute { for action in actions { self.perform(action) } }
    return true
  }

  /// Something is asked of the servers: one that refused the login, or does not fit the configuration,
  /// is tried again, since either may be another one now.
  func isAsked() {
    if inside.withLock({ $0.state.isRefused }) { _ = retryNow() }
  }

  var isReachable: Bool { inside.withLock { $0.state.isReachable } }

  var state: ServerState {
    let (isUp, problem, mayReturn) = inside.withLock {
      ($0.state.isReachable, $0.state.problem, $0.state.mayReturn(now: .now()))
    }
    return ServerState(
      server: server, address: address, isUp: isUp, problem: problem.map(explained),
      mayReturn: mayReturn)
  }

  /// The problem with what the other servers say to the same: an account that one server refuses and
  /// others accept is not the same everywhere, which is another matter than a wrong password.
  private func explained(_ problem: DFSError) -> DFSError {
    guard problem.code == .loginFailed else { return problem }
    return .refused(common.account.credentials.user, by: peer, acceptedBy: common.neighbours.up)
  }

  /// Bytes asked of the bulk connections and not answered.
  var load: Int { bulk.load }

  func start() { loop.execute { self.decide { $0.started() } } }

  /// Waits until a first connection was made or failed.
  func untilTried() async { _ = try? await tried.value() }

  func stop() async {
    let done = loop.submit {
      self.decide { $0.stopped() }
      let control = self.inside.withLock { inside in
        defer { inside.control = nil }
        return inside.control
      }
      control?.close(DFSError(.cancelled, "the client is closed"))
    }
    _ = try? await done.get()
  }

  /// - Throws: why the server is not reachable.
  func control() throws(DFSError) -> Connection {
    let (control, problem) = inside.withLock {
      ($0.state.isReachable ? $0.control : nil, $0.state.problem)
    }
    guard let control else {
      let problem = problem.map(explained) ?? DFSError(.disconnected, "\(peer) is not connected")
      // Others accepted the account: to who asks this server, it is away.
      let isAway = problem.code == .loginFailed && !common.neighbours.up.isEmpty
      throw isAway ? DFSError(.disconnected, problem.message) : problem
    }
    return control
  }

  func bulk(_ use: BulkConnections.Use) async throws(DFSError) -> Connection {
    _ = try control()
    return try await bulk.connection(use)
  }

  // MARK: On the event loop

  private func decide(_ event: (inout ServerLinkState) -> [ServerLinkState.Action]) {
    let actions = inside.withLock { event(&$0.state) }
    for action in actions { perform(action) }
  }

  private func perform(_ action: ServerLinkState.Action) {
    switch action {
    case .connect: connect()
    case .renewAndConnect:
      common.threads.submit { _ in
        self.common.account.renew(self.common.logger)
        self.loop.execute { self.connect() }
      }
    case .wait(let time):
      let timer = loop.scheduleTask(in: time) { self.decide { $0.retryIsDue() } }
      inside.withLock { inside in
        // Of an attempt that was made earlier than it was due.
        inside.timer?.cancel()
        inside.timer = timer
      }
    case .tellConnected: common.tell(server, .connected)
    case .tellDisconnected: common.tell(server, .disconnected)
    case .closeBulk(let error): bulk.close(error)
    case .tried: tried.fulfil(.success(()))
    case .log(let report): log(report)
    }
  }

  private func connect() {
    let settings = Self.settings(address, peer, common, isControl: true)
    Connection.open(settings, on: loop) { self.receive($0) }.whenComplete { result in
      switch result {
      case .success(let connection): self.connected(connection)
      case .failure(let error):
        self.decide { $0.ended(DFSError(error, else: .disconnected), now: .now()) }
      }
    }
  }

  private func connected(_ connection: Connection) {
    let isWanted = inside.withLock { inside in
      if inside.state.phase == .stopped { return false }
      inside.control = connection
      return true
    }
    if !isWanted { connection.close(DFSError(.cancelled, "the client is closed")) }
  }

  private func receive(_ signal: ConnectionSignal) {
    switch signal {
    case .ready(let greeting, let namespace):
      common.identities.greeted(by: server, greeting, namespace)
      decide { $0.ready(now: .now()) }
      if let problem = common.identities.problem(of: server) {
        common.logger.error("\(server) is not used: \(problem)")
      }
    case .push(let push):
      if case .goingAway = push { decide { $0.leaves(now: .now()) } }
      common.tell(server, .push(push))
    case .silent: decide { $0.fellSilent(now: .now()) }
    case .answering: decide { $0.answers() }
    case .closed(let error):
      inside.withLock { $0.control = nil }
      decide { $0.ended(error, now: .now()) }
    }
  }

  private func log(_ report: ServerLinkState.Report) {
    let logger = common.logger
    switch report {
    case .up: logger.debug("\(peer) is connected")
    case .back: logger.notice("\(peer) is back")
    case .away(let error):
      logger.warning("\(server) is away: \(explained(error)); trying again until it answers")
    case .silent: logger.warning("\(peer) does not answer; it is not asked until it does")
    case .answering: logger.notice("\(peer) answers again")
    }
  }

  private static func settings(
    _ address: ServerAddress, _ peer: String, _ common: Common, isControl: Bool
  ) -> ConnectionSettings {
    let hello = Request.Hello(
      version: Wire.version, cluster: common.configuration.cluster, server: address.name,
      client: common.client, wantsPushes: isControl, clusterID: common.identities.knownCluster)
    let login = ConnectionLogin(
      peer: peer, hello: hello, credentials: common.account.credentials, cache: common.scramCache)
    return ConnectionSettings(
      address: address, login: login, encryption: common.configuration.encryption,
      threads: common.threads,
      connectTimeout: .seconds(Int64(common.configuration.connectTimeoutSeconds)),
      windowBytes: bulkWindowBytes, watches: isControl, idleLimit: isControl ? nil : bulkIdleLimit)
  }
}
