public import DFSCore
internal import DFSStore
internal import DFSWire
internal import Glibc
public import Logging
internal import NIOCore
internal import NIOPosix
public import ServiceLifecycle

/// A server: one directory, one port, many users. It listens from `start` to `stop`.
///
/// A stop takes no more connections, tells the clients, finishes the requests that are under way
/// (within `drainSeconds`), closes the store and unlocks the directory.
public final class Server: ServiceLifecycle.Service {
  private let service: Service
  private let listener: any Channel

  /// The name in the cluster: the directory's last component.
  public var name: String { service.store.identity.name }
  /// The IP address that was bound.
  public var address: String { listener.localAddress?.ipAddress ?? service.options.address }
  /// The port that was bound.
  public var port: Int { listener.localAddress?.port ?? service.options.port }
  /// Of the certificate that encrypted connections see.
  public var fingerprint: CertificateFingerprint { service.identity.fingerprint }
  /// Whether no other machine can connect.
  public var isLoopbackOnly: Bool { address.hasPrefix("127.") || address == "::1" }

  /// What requests and answers under way take, about. Bytes.
  var bytesInUse: Int { service.bytes.bytes }

  /// What a user has under way.
  func load(of user: UserName) -> UserLoad { service.loads.load(of: user) }

  private init(service: Service, listener: any Channel) {
    self.service = service
    self.listener = listener
  }

  /// Opens the directory, binds the port and serves.
  /// - Throws: `DFSError`: the directory belongs to others or is locked, the port is in use.
  public static func start(_ options: ServerOptions, logger: Logger) async throws -> Server {
    let directory = try ServerDirectory(options.directory)
    let store = try ServerStore.open(
      directory: directory.path, name: directory.name, cluster: options.cluster,
      options: options.store, logger: logger)
    do {
      let users = Users(
        paths: options.usersFile.map { [$0] } ?? Users.defaultPaths(directory: directory.path),
        secret: try LoginSecret.ofServer(directory: directory.path), logger: logger)
      let identity = try ServerCertificate.load(options, directory: directory, logger: logger)
      let service = Service(
        options: options, store: store, users: users, identity: identity, logger: logger)
      try await service.threads.runIfActive { try users.refresh() }
      let server = Server(service: service, listener: try await listen(service))
      server.warnOfNetwork()
      service.watch.begin(service)
      Task { await store.openUsers() }
      return server
    } catch {
      await store.close()
      throw failure(error, options)
    }
  }

  /// Serves until a graceful shutdown is asked for, then stops.
  public func run() async throws {
    try? await gracefulShutdown()
    await stop()
  }

  /// Stops as the class says; when it returns, the directory is unlocked.
  public func stop() async {
    service.logger.info("stopping")
    service.watch.end()
    try? await listener.close()
    let channels = service.channels
    for channel in channels { channel.pipeline.fireUserInboundEventTriggered(Drain()) }
    let loop = listener.eventLoop
    let closed = EventLoopFuture.andAllComplete(channels.map(\.closeFuture), on: loop)
    let deadline = loop.scheduleTask(in: .seconds(Int64(service.options.drainSeconds))) {
      for channel in channels { channel.close(promise: nil) }
    }
    try? await closed.get()
    deadline.cancel()
    await service.store.close()
    service.logger.info("stopped")
  }

  private static func listen(_ service: Service) async throws -> any Channel {
    let options = service.options
    return try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
      .serverChannelOption(.backlog, value: 1024)
      .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
      .serverChannelInitializer { channel in
        channel.eventLoop.makeCompletedFuture {
          let pause = AcceptPause { error in
            service.strangerLog.log(
              .error, "no connection can be accepted for a moment: \(error)", service.logger)
            service.dropStranger()
          }
          try channel.pipeline.syncOperations.addHandler(pause)
        }
      }
      .childChannelOption(.tcpOption(.tcp_nodelay), value: 1)
      .childChannelOption(.socketOption(.so_keepalive), value: 1)
      .childChannelOption(.tcpOption(.init(rawValue: TCP_KEEPIDLE)), value: 30)
      .childChannelOption(.tcpOption(.init(rawValue: TCP_KEEPINTVL)), value: 10)
      .childChannelOption(.tcpOption(.init(rawValue: TCP_KEEPCNT)), value: 6)
      .childChannelOption(.writeBufferWaterMark, value: .init(low: 256 << 10, high: 1 << 20))
      .childChannelOption(.maxMessagesPerRead, value: Reads.usual)
      .childChannelOption(
        .recvAllocator,
        value: AdaptiveRecvByteBufferAllocator(
          minimum: 1024, initial: 2048, maximum: Reads.bufferBytes)
      )
      .childChannelInitializer { channel in
        channel.eventLoop.makeCompletedFuture {
          let limit = FrameLimit()
          try channel.pipeline.syncOperations.addHandlers([
            ServerSecurity(service.identity, allowsPlaintext: options.allowsPlaintext),
            ByteToMessageHandler(FrameDecoder(limit: limit, isShared: true)), FrameEncoder(),
            SessionHandler(service: service, limit: limit),
          ])
        }
      }
      .bind(host: options.address, port: options.port).get()
  }

  private func warnOfNetwork() {
    guard !isLoopbackOnly else {
      service.logger.notice(
        "\(name) listens on loopback only: clients on other machines cannot reach it; for those, start it with --address and an address of this machine, or 0.0.0.0 for all"
      )
      return
    }
    service.logger.notice("the certificate of \(name) is \(fingerprint)")
    if service.options.allowsPlaintext {
      service.logger.warning(
        "--plaintext: connections from other machines may be unencrypted; on those, whoever is on the way reads names and contents, and may change them"
      )
    }
  }

  private static func failure(_ error: any Error, _ options: ServerOptions) -> any Error {
    guard let error = error as? IOError else { return error }
    let place = "\(options.address) port \(options.port)"
    switch error.errnoCode {
    case EADDRINUSE:
      return DFSError(
        .configuration, "\(place) is in use; stop what listens there, or take another port")
    case EACCES:
      return DFSError(.configuration, "\(place) may not be bound; take a port from 1024")
    case EADDRNOTAVAIL:
      return DFSError(.configuration, "\(options.address) is not an address of this machine")
    default:
      return DFSError(
        .configuration, "cannot listen on \(place): \(String(cString: strerror(error.errnoCode)))")
    }
  }
}
