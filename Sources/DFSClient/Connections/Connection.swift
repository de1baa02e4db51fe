internal import DFSConfiguration
internal import DFSCore
internal import DFSWire
internal import Glibc
internal import NIOCore
internal import NIOPosix
internal import Synchronization

/// How one connection is made, and its limits.
struct ConnectionSettings: Sendable {
  let address: ServerAddress
  let login: ConnectionLogin
  let encryption: Encryption
  /// Where the password is hashed.
  let threads: NIOThreadPool
  let connectTimeout: TimeAmount
  var loginTimeout: TimeAmount { connectTimeout }
  /// Bytes written and not answered.
  let windowBytes: Int
  /// Whether the server is asked when it is quiet.
  let watches: Bool
  /// A connection that nobody used for so long is closed.
  let idleLimit: TimeAmount?
  var tick: TimeAmount { watches ? .milliseconds(250) : .milliseconds(500) }

  /// What went wrong with a connection, in the words of the operating system.
  static func failure(_ error: any Error, peer: String) -> DFSError {
    switch error {
    case let error as DFSError: return error
    case let error as IOError: return refused(peer, String(cString: strerror(error.errnoCode)))
    case let error as NIOConnectionError:
      if let first = error.connectionErrors.first { return failure(first.error, peer: peer) }
      return refused(peer, "no address is known for '\(error.host)'")
    case ChannelError.connectTimeout(let time):
      return refused(peer, "no connection within \(time.nanoseconds / 1_000_000_000) s")
    default: return DFSError(.disconnected, peer, cause: error)
    }
  }

  private static func refused(_ peer: String, _ reason: String) -> DFSError {
    DFSError(.disconnected, "\(peer): \(reason)")
  }
}

/// One connection to one server, logged in once `ready` was signalled. It ends once, and is then
/// replaced by another one; its owner learns so by its signals.
final class Connection: Sendable {
  private let handler: NIOLoopBound<ConnectionHandler>
  private let use: ConnectionUse
  private let server: String
  private let nextID = Atomic<UInt64>(ConnectionState<Call>.firstRequestID)

  /// - Parameter server: its name.
  private init(handler: NIOLoopBound<ConnectionHandler>, use: ConnectionUse, server: String) {
    self.handler = handler
    self.use = use
    self.server = server
  }

  private var eventLoop: any EventLoop { handler.eventLoop }

  /// Bytes asked of this connection and not answered.
  var load: Int { use.bytes.load(ordering: .relaxed) }

  /// Somebody is about to use it: it is not closed as idle now.
  func touch() { use.touch() }

  /// Connects and begins to log in.
  /// - Parameter signal: called on `loop`, if the connection was made; `closed` is the last.
  static func open(
    _ settings: ConnectionSettings, on loop: any EventLoop,
    signal: @escaping @Sendable (ConnectionSignal) -> Void
  ) -> EventLoopFuture<Connection> {
    // On the loop itself, so that `signal` is in its place before anything can come in: a thread that
    // waits for the processor here may be slower than the whole login.
    loop.flatSubmit { connect(settings, on: loop, signal) }
      .flatMapErrorThrowing { throw ConnectionSettings.failure($0, peer: settings.login.peer) }
  }

  private static func connect(
    _ settings: ConnectionSettings, on loop: any EventLoop,
    _ signal: @escaping @Sendable (ConnectionSignal) -> Void
  ) -> EventLoopFuture<Connection> {
    ClientBootstrap(group: loop)
      .connectTimeout(settings.connectTimeout)
      .channelOption(.tcpOption(.tcp_nodelay), value: 1)
      .channelOption(.writeBufferWaterMark, value: .init(low: 512 << 10, high: 2 << 20))
      .channelOption(
        .recvAllocator,
        value: AdaptiveRecvByteBufferAllocator(minimum: 2048, initial: 16 << 10, maximum: 512 << 10)
      )
      .channelInitializer { channel in
        channel.eventLoop.makeCompletedFuture { try prepare(channel, settings) }
      }
      .connect(host: settings.address.host, port: settings.address.port)
      .flatMapThrowing { channel in
        let handler = try channel.pipeline.syncOperations.handler(type: ConnectionHandler.self)
        handler.signal = signal
        return Connection(
          handler: NIOLoopBound(handler, eventLoop: loop), use: handler.use,
          server: settings.address.name)
      }
  }

  private static func prepare(_ channel: any Channel, _ settings: ConnectionSettings) throws {
    let limit = FrameLimit()
    try channel.pipeline.syncOperations.addHandler(
      ClientSecurity(
        settings.encryption, pin: settings.address.fingerprint, peer: settings.login.peer))
    try channel.pipeline.syncOperations.addHandler(ByteToMessageHandler(FrameDecoder(limit: limit)))
    try channel.pipeline.syncOperations.addHandlers([
      FrameEncoder(), ConnectionHandler(settings: settings, limit: limit),
    ])
  }

  /// It is not closed as idle until `release`; for copies that the server keeps for this connection.
  func retain() { use.users.wrappingAdd(1, ordering: .relaxed) }

  func release() {
    use.touch()
    use.users.wrappingSubtract(1, ordering: .relaxed)
  }

  /// Sends a request; calls from one task are written in their order.
  func submit<Message: RequestMessage>(
    _ message: Message, body: ByteBuffer? = nil, timeout: Duration
  ) -> Submission<Message> {
    let weight = message.answerBodyBytes + (body?.readableBytes ?? 0)
    return Submission(
      call: begin(message.request, body: body, weight: weight, timeout: timeout), server: server)
  }

  /// A request on its way.
  struct Submission<Message: RequestMessage>: Sendable {
    fileprivate let call: OpenCall
    fileprivate let server: String

    /// Waits for the answer; a cancelled task stops waiting.
    func answer() async throws(DFSError) -> (answer: Message.Answer, body: ByteBuffer?) {
      let answer = try await call.answer()
      return (try Message.answer(in: answer.reply, by: server), answer.body)
    }
  }

  /// Sends a request without bulk and waits for its reply, whatever it says.
  func exchange(_ request: Request, timeout: Duration) async throws(DFSError) -> Reply {
    try await begin(request, timeout: timeout).answer().reply
  }

  /// As the other, without a task.
  /// - Parameter answer: called once, on the event loop, after this returned; must be quick.
  func exchange(
    _ request: Request, timeout: Duration,
    _ answer: @escaping @Sendable (Result<Reply, DFSError>) -> Void
  ) {
    begin(request, timeout: timeout).future.whenComplete { result in
      answer(result.map(\.reply).mapError { DFSError($0, else: .disconnected) })
    }
  }

  /// - Parameter weight: bytes of bulk in the request and its answer.
  private func begin(
    _ request: Request, body: ByteBuffer? = nil, weight: Int = 0, timeout: Duration
  ) -> OpenCall {
    let id = nextID.wrappingAdd(1, ordering: .relaxed).oldValue
    let promise = eventLoop.makePromise(of: Answer.self)
    let call = Call(request: request, body: body, promise: promise)
    let deadline = NIODeadline.now() + TimeAmount(timeout)
    use.begin(weight)
    promise.futureResult.whenComplete { [use] _ in use.end(weight) }
    // Also on the loop itself: nobody is answered before this returns.
    eventLoop.execute {
      self.handler.value.submit(call, id: id, bytes: weight, deadline: deadline)
    }
    return OpenCall(connection: self, id: id, future: promise.futureResult)
  }

  /// A call that has no answer yet.
  fileprivate struct OpenCall: Sendable {
    let connection: Connection
    let id: UInt64
    let future: EventLoopFuture<Answer>

    func answer() async throws(DFSError) -> Answer {
      do {
        return try await withTaskCancellationHandler {
          try await future.get()
        } onCancel: {
          connection.cancel(id)
        }
      } catch {
        throw DFSError(error, else: .disconnected)
      }
    }
  }

  private func cancel(_ id: UInt64) { eventLoop.execute { self.handler.value.cancel(id: id) } }

  func close(_ error: DFSError) {
    eventLoop.execute { self.handler.value.close(error) }
  }
}

/// How much a connection is used; shared by its owner and its handler.
final class ConnectionUse: Sendable {
  /// Bytes asked and not answered.
  let bytes = Atomic<Int>(0)
  /// Who wants to keep it open.
  let users = Atomic<Int>(0)
  private let lastUse = Atomic<UInt64>(NIODeadline.now().uptimeNanoseconds)

  func touch() { lastUse.store(NIODeadline.now().uptimeNanoseconds, ordering: .relaxed) }

  func begin(_ weight: Int) {
    bytes.wrappingAdd(weight, ordering: .relaxed)
    touch()
  }

  func end(_ weight: Int) {
    bytes.wrappingSubtract(weight, ordering: .relaxed)
    touch()
  }

  var idleTime: TimeAmount {
    if users.load(ordering: .relaxed) > 0 { return .zero }
    return NIODeadline.now() - NIODeadline.uptimeNanoseconds(lastUse.load(ordering: .relaxed))
  }
}
