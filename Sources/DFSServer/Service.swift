internal import DFSCore
internal import DFSStore
internal import DFSWire
internal import Logging
internal import NIOCore
internal import NIOPosix
internal import Synchronization

/// What all connections of a server share.
final class Service: Sendable {
  let options: ServerOptions
  let store: ServerStore
  let users: Users
  let audiences = Audiences()
  let throttle = LoginThrottle()
  let bytes: BytesInUse
  let loads: UserLoads
  let watch = UserWatch()
  let threads = NIOThreadPool.singleton
  let logger: Logger
  private let nextSession = Atomic<UInt64>(1)
  private let connections = Mutex<[SessionID: any Channel]>([:])

  init(options: ServerOptions, store: ServerStore, users: Users, logger: Logger) {
    self.options = options
    self.store = store
    self.users = users
    self.logger = logger
    bytes = BytesInUse(bound: options.bytes)
    loads = UserLoads(bound: options.bytesPerUser)
  }

  var greeting: ServerGreeting {
    let identity = store.identity
    return ServerGreeting(
      version: Wire.version, cluster: identity.cluster, server: identity.name,
      identity: identity.id, software: "dfs \(Release.version)", clusterID: identity.clusterID)
  }

  /// Makes the server one of a cluster.
  func join(_ cluster: ClusterID) async throws {
    let store = store
    try await threads.runIfActive { try store.join(cluster) }
  }

  /// Takes a place for a connection.
  /// - Returns: its id, and whether there are too many.
  func open(_ channel: any Channel) -> (id: SessionID, isTooMany: Bool) {
    let id = nextSession.wrappingAdd(1, ordering: .relaxed).oldValue
    let count = connections.withLock { connections in
      connections[id] = channel
      return connections.count
    }
    return (id, count > options.connections)
  }

  func close(_ id: SessionID) { connections.withLock { $0[id] = nil } }

  var channels: [any Channel] { connections.withLock { Array($0.values) } }

  /// How long a login waits for the user's database to be examined.
  private static let patience = Duration.seconds(2)

  /// Logs a user in on a connection: opens the store, and joins the audience if pushes are wanted.
  func logIn(
    _ user: UserName, session: SessionID, hello: Hello?, pushes: PushQueue, member: UserLoad.Member
  ) async throws -> LoggedIn {
    let load = loads.load(of: user)
    let bounds = users.account(of: user)?.bounds ?? UserBounds()
    let bound = bounds.connections ?? options.connectionsPerUser
    guard load.enter(session, member, bound: bound) else {
      throw DFSError(
        .busy,
        "\(bound) connections of '\(user)' are open, the bound; close some, or have it raised: dfs user set "
          + "\(user) connections=NUMBER")
    }
    let opened: UserStore
    do {
      opened = try await store.user(user, patience: Self.patience)
    } catch {
      load.leave(session)
      throw error
    }
    let store = opened
    store.setQuota(bounds.quotaBytes)
    load.quota = { store.setQuota($0) }
    let audience = audiences.audience(of: user, store: store)
    if let hello, hello.wantsPushes { audience.add(session, client: hello.client, pushes) }
    return LoggedIn(
      user: user, audience: audience, load: load,
      session: UserSession(store: store, session: session) { [self] in try await join($0) })
  }
}

/// A connection after its login.
struct LoggedIn: Sendable {
  let user: UserName
  let audience: Audience
  let load: UserLoad
  let session: UserSession

  /// The connection has ended.
  func leave() {
    load.leave(session.session)
    audience.remove(session.session)
    session.store.endSession(session.session)
  }
}
