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
  let strangerLog = StrangerLog()
  let bytes: BytesInUse
  let loads: UserLoads
  let watch = UserWatch()
  let threads = NIOThreadPool.singleton
  let logger: Logger
  private let nextSession = Atomic<UInt64>(1)
  private let places: Mutex<Places>

  /// Who is connected.
  private struct Places {
    var channels: [SessionID: any Channel] = [:]
    var strangers: Strangers
    var users: Set<SessionID> = []
  }

  init(
    options: ServerOptions, store: ServerStore, users: Users, identity: TLSIdentity, logger: Logger
  ) {
    self.options = options
    self.store = store
    self.users = users
    self.identity = identity
    self.logger = logger
    bytes = BytesInUse(limit: options.bytes)
    places = Mutex(Places(strangers: Strangers(limit: options.strangers)))
    loads = UserLoads(limit: options.bytesPerUser)
  }

  var greeting: Reply.Greeting {
    let identity = store.identity
    return Reply.Greeting(
      version: Wire.version, cluster: identity.cluster, server: identity.name,
      identity: identity.id, software: "dfs \(Release.version)", clusterID: identity.clusterID)
  }

  /// Makes the server one of a cluster.
  func join(_ cluster: ClusterID) async throws {
    let store = store
    try await threads.runIfActive { try store.join(cluster) }
  }

  // MARK: Places

  /// Takes a stranger's place for a connection.
  /// - Parameter address: of the peer, as `SocketAddress.strangerAddress` tells it.
  func open(_ channel: any Channel, from address: String) -> SessionID {
    let id = nextSession.wrappingAdd(1, ordering: .relaxed).oldValue
    let victim = places.withLock { places in
      places.channels[id] = channel
      return places.strangers.came(id, from: address).flatMap { places.channels[$0] }
    }
    drop(victim)
    return id
  }

  /// A stranger says whom it wants to log in.
  func named(_ id: SessionID, _ name: String) {
    let victim = places.withLock { places in
      places.strangers.named(id, name).flatMap { places.channels[$0] }
    }
    drop(victim)
  }

  func passwordWasWrong(_ id: SessionID) { places.withLock { $0.strangers.wasWrong(id) } }

  /// Makes room where there is none left for one more.
  func dropStranger() {
    drop(places.withLock { places in places.strangers.dropOne().flatMap { places.channels[$0] } })
  }

  private func drop(_ channel: (any Channel)?) {
    channel?.pipeline.fireUserInboundEventTriggered(PlaceLost())
  }

  /// Gives a connection that is logged in a user's place.
  /// - Throws: `busy` if there are too many.
  func admit(_ id: SessionID) throws(DFSError) {
    let limit = options.connections
    let isAdmitted = places.withLock { places in
      guard places.users.count < limit else { return false }
      places.strangers.left(id)
      places.users.insert(id)
      return true
    }
    guard isAdmitted else {
      throw DFSError(.busy, "\(limit) connections are logged in, the limit; try again later")
    }
  }

  func close(_ id: SessionID) {
    places.withLock { places in
      places.channels[id] = nil
      places.users.remove(id)
      places.strangers.left(id)
    }
  }

  var channels: [any Channel] { places.withLock { Array($0.channels.values) } }

  /// How long a login waits for the user's database to be examined, and for leases of an earlier process to end.
  private static let patience = Duration.seconds(4)

  /// Logs a user in on a connection: opens the store, and joins the audience if pushes are wanted.
  func logIn(
    _ user: UserName, session: SessionID, hello: Request.Hello?, pushes: PushQueue,
    member: UserLoad.Member
  ) async throws -> LoggedIn {
    let load = loads.load(of: user)
    let limits = users.account(of: user)?.limits ?? UserLimits()
    let limit = limits.connections ?? options.connectionsPerUser
    guard load.enter(session, member, limit: limit) else {
      throw DFSError(
        .busy,
        "\(limit) connections of '\(user)' are open, the limit; close some, or have it raised: dfs user set "
          + "\(user) connections=NUMBER")
    }
    let opened: UserStore
    do {
      let client = hello?.wantsPushes == true ? hello?.client : nil
      opened = try await store.user(user, client: client, patience: Self.patience)
    } catch {
      load.leave(session)
      throw error
    }
    let store = opened
    store.setQuota(limits.quotaBytes)
    load.quota = { store.setQuota($0) }
    let audience = audiences.audience(of: user, store: store)
    if let hello, hello.wantsPushes { audience.add(session, pushes) { store.unshownHead } }
    return LoggedIn(
      user: user, client: hello?.wantsPushes == true ? hello?.client : nil, audience: audience,
      load: load,
      session: UserSession(store: store, session: session, load: load) { [self] in
        try await join($0)
      })
  }
}

/// A connection after its login.
struct LoggedIn: Sendable {
  let user: UserName
  /// Who is told of changes here; nil: nobody.
  let client: ClientID?
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
