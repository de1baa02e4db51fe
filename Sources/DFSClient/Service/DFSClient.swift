public import DFSConfiguration
public import DFSCore
package import DFSReplication
internal import DFSWire
public import Logging

/// A user's files over the four servers, and the administration of these.
///
/// It owns the connections (Cluster), the namespace (Namespace, with its cache of rows) and the
/// contents (Transfer), and ties them together: what servers push goes to the cache first, then to
/// who listens.
public final class DFSClient: FileService, ClusterAdministration {
  /// Connecting takes at most this long.
  static let connectTime = Duration.seconds(8)

  let cluster: any ServerConnections
  package let namespace: Namespace
  let transfer: Transfer
  let layers: LayerReader
  let publisher: Publisher
  let settler: Settler
  let pins: VersionPins
  let healer: Healer
  let healing: HealingTask
  let uncertain = UncertainVersions()
  let removals = OwnRemovals()
  let configuration: ClientConfiguration
  let feed: InvalidationFeed
  let fileLocks: FileLocks
  private let loopExecutor: LoopExecutor

  /// What to forget, since it was told last; more than 10,000 rows come as `everything`.
  public let invalidations: AsyncStream<Invalidation>
  public var changes: UInt64? { namespace.cache.changes }

  /// Connects to the servers of `configuration`; those that cannot be reached now are tried again
  /// for as long as the client lives.
  /// - Parameter minimumServers: with fewer than these the call fails.
  /// - Throws: `configuration` if the servers are not of one cluster; `loginFailed` if a server refused the credentials, `serversMissing`, naming each server
  ///   that cannot be reached and why.
  public static func connect(
    _ configuration: ClientConfiguration, credentials: Credentials, minimumServers: Int = 1,
    logger: Logger
  ) async throws -> DFSClient {
    try await connect(
      configuration, credentials: RenewableCredentials(credentials),
      minimumServers: minimumServers, logger: logger)
  }

  /// The same; a password that a server refuses is read again before it is tried again.
  public static func connect(
    _ configuration: ClientConfiguration, credentials: RenewableCredentials,
    minimumServers: Int = 1, logger: Logger
  ) async throws -> DFSClient {
    let id = ClientID.random()
    let cluster = Cluster(
      configuration: configuration, credentials: credentials, client: id, logger: logger)
    let client = DFSClient(configuration, cluster, as: id)
    await client.cluster.start()
    await client.cluster.untilTried(timeout: connectTime)
    do {
      if let problem = client.cluster.identities.problem { throw problem }
      try client.namespace.servers.require(up: minimumServers)
    } catch {
      await client.cluster.shutdown()
      throw error
    }
    return client
  }

  /// - Parameters:
  ///   - cluster: not started yet.
  ///   - id: as which it logs in.
  ///   - namespace: the identity that a new namespace gets.
  ///   - plan: when layers are put together.
  ///   - term: of read leases, if the configuration has them.
  ///   - pace: of locks.
  package init(
    _ configuration: ClientConfiguration, _ cluster: any ServerConnections, as id: ClientID,
    proposing proposed: NamespaceID = .random(), layers plan: LayerPace = .init(),
    leases term: LeaseTerm = .standard, locks pace: LockPace = .init()
  ) {
    let logger = cluster.logger
    let cache = RowCache(limit: configuration.cachedRows)
    let namespace = Namespace(
      client: id, requests: cluster, cache: cache, settings: .init(configuration, term),
      proposing: proposed, logger: logger)
    let healing = HealingTask(cluster.environment)
    let pins = VersionPins(requests: cluster)
    let feed = InvalidationFeed()
    let locks = FileLocks(namespace, client: id, pace: pace, logger: logger)
    fileLocks = locks
    self.configuration = configuration
    self.cluster = cluster
    self.healing = healing
    loopExecutor = LoopExecutor(cluster.loop)
    self.namespace = namespace
    self.pins = pins
    self.feed = feed
    transfer = Transfer(
      cluster: cluster, questions: namespace.servers, configuration: configuration)
    layers = LayerReader(transfer)
    publisher = Publisher(
      namespace: namespace, transfer: transfer, policy: configuration.writes)
    settler = Settler(
      publisher, layers, pins, bytesPerSecond: configuration.healBytesPerSecond, plan: plan,
      logger: logger)
    let healer = Healer(
      namespace, transfer, bytesPerSecond: configuration.healBytesPerSecond, logger: logger)
    self.healer = healer
    namespace.complete { [weak healer] in await healer?.completeSmallCopies() }
    let identities = cluster.identities
    namespace.join { [weak namespace] in await namespace?.joinCluster(identities) }
    invalidations = feed.stream
    // The cluster must not keep alive what keeps the cluster alive.
    cluster.observe { [weak namespace, weak pins, weak locks, healing] server, event in
      if let head = event.head { identities.heard(head.view.namespace, of: server) }
      guard event.head == nil || !identities.foreign.contains(server) else { return }
      cache.note(event, of: server)
      namespace?.servers.leases?.note(event, of: server)
      feed.note(event)
      locks?.note(event)
      guard case .connected = event else { return }
      Task {
        await namespace?.returned(server)
        await namespace?.joinCluster(identities)
        pins?.renew(on: server)
        healing.wake()
      }
    }
  }

  public var executor: (any TaskExecutor)? { loopExecutor }
  public var locks: (any LockService)? { fileLocks }
  /// What a change writes was perhaps written under locks: these are still this client's.
  /// - Throws: `locksLost` if they are not.
  package func checkLocks(_ id: InodeID, in change: inout Transaction) async throws {
    try await fileLocks.check(id, in: &change)
  }
  public var namespaceID: NamespaceID? { cluster.identities.namespace }

  // MARK: Servers

  public func serverStates() async -> [ServerState] { cluster.states() }
  public func reconnect(within patience: Duration) async {
    await cluster.reconnect(within: patience)
  }

  /// What can still be written, copies counted: each byte of content takes half a byte of every
  /// server, so the fullest server decides.
  public func space() async throws -> SpaceReport {
    let reports: [SpaceReport] = await withTaskGroup(of: SpaceReport?.self) { group in
      for server in cluster.reachable.servers {
        group.addTask { [cluster] in
          try? await cluster.ask(server, Request.Space(), timeout: .seconds(5))
        }
      }
      return await group.reduce(into: []) { if let report = $1 { $0.append(report) } }
    }
    guard !reports.isEmpty else {
      throw namespace.servers.missing(answering: [], "no server tells its space")
    }
    func twice(_ bytes: UInt64?) -> UInt64 {
      let (double, overflow) = (bytes ?? 0).multipliedReportingOverflow(by: 2)
      return overflow ? .max : double
    }
    return SpaceReport(
      total: twice(reports.map(\.total).min()), available: twice(reports.map(\.available).min()),
      used: twice(reports.map(\.used).max()), inodes: reports.map(\.inodes).max() ?? 0)
  }

  /// Finishes what is under way and disconnects.
  public func close() async {
    await healing.stop()
    await settler.stop()
    await fileLocks.end()
    await namespace.finish()
    feed.finish()
    await cluster.shutdown()
  }
}

extension Namespace.Settings {
  init(_ configuration: ClientConfiguration, _ term: LeaseTerm) {
    policy = configuration.writes
    callTimeout = .seconds(configuration.callTimeoutSeconds)
    hedge = .milliseconds(configuration.hedgeMilliseconds)
    leases = configuration.readLeases ? term : nil
  }
}

extension RowCache {
  /// What a connection brings, in its order.
  fileprivate func note(_ event: ConnectionEvent, of server: ServerIndex) {
    switch event {
    case .connected: connected(server)
    case .disconnected: disconnected(server)
    case .push(.changed(let push)): pushed(push.keys, head: push.head, by: server)
    case .push(.everythingChanged(let push)): pushed(nil, head: push.head, by: server)
    case .push(.goingAway): break
    }
  }
}

extension ReadLeases {
  /// After the cache.
  fileprivate func note(_ event: ConnectionEvent, of server: ServerIndex) {
    switch event {
    case .connected, .disconnected: reset(server)
    case .push(.changed), .push(.everythingChanged): pushed(by: server)
    case .push(.goingAway): break
    }
  }
}

extension FileLocks {
  /// After the cache.
  fileprivate func note(_ event: ConnectionEvent) {
    switch event {
    case .push(.changed(let push)): changed(push.keys)
    case .connected, .push(.everythingChanged): changed(nil)
    case .push(.goingAway), .disconnected: break
    }
  }
}

extension ConnectionEvent {
  /// The head that a push tells.
  fileprivate var head: Head? {
    switch self {
    case .push(.changed(let push)): push.head
    case .push(.everythingChanged(let push)): push.head
    case .push(.goingAway), .connected, .disconnected: nil
    }
  }
}

extension InvalidationFeed {
  fileprivate func note(_ event: ConnectionEvent) {
    switch event {
    case .connected, .disconnected, .push(.everythingChanged): addEverything()
    case .push(.changed(let push)): add(push.keys)
    case .push(.goingAway): break
    }
  }
}
