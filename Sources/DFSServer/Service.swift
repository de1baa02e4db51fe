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
  let identity: TLSIdentity
  let audiences = Audiences()
  let throttle = LoginThrottle()
  let bytes: BytesInUse
  let threads = NIOThreadPool.singleton
  let logger: Logger
  private let nextSession = Atomic<UInt64>(1)
  private let connections = Mutex<[SessionID: any Channel]>([:])

  init(
    options: ServerOptions, store: ServerStore, users: Users, identity: TLSIdentity, logger: Logger
  ) {
    self.options = options
    self.store = store
    self.users = users
    self.identity = identity
    self.logger = logger
    bytes = BytesInUse(bound: options.bytes)
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
    _ user: UserName, session: SessionID, hello: Hello?, pushes: PushQueue
  ) async throws -> LoggedIn {
    let store = try await store.user(user, patience: Self.patience)
    let audience = audiences.audience(of: user, store: store)
    if let hello, hello.wantsPushes { audience.add(session, client: hello.client, pushes) }
    return LoggedIn(
      user: user, audience: audience,
      session: UserSession(store: store, session: session) { [self] in try await join($0) })
  }
}

/// A connection after its login.
struct LoggedIn: Sendable {
  let user: UserName
  let audience: Audience
  let session: UserSession
}
