internal import DFSCore
internal import DFSSystem
internal import DFSWire
internal import NIOCore
internal import NIOPosix

/// One request on its way, and who waits for the answer.
struct Call: Sendable {
  let request: Request
  let body: ByteBuffer?
  let promise: EventLoopPromise<Answer>
}

struct Answer: Sendable {
  let reply: Reply
  let body: ByteBuffer?
}

/// What a connection tells its owner, on the event loop, in the order of the connection.
enum ConnectionSignal: Sendable {
  /// Logged in on this server, which has this namespace of the user.
  case ready(Reply.Greeting, NamespaceID?)
  case push(Push)
  /// The server leaves questions unanswered.
  case silent
  /// It was silent and answers again.
  case answering
  case closed(DFSError)
}

/// Performs what `ConnectionState` decides, on the event loop of its channel.
final class ConnectionHandler: ChannelInboundHandler {
  typealias InboundIn = Frame
  typealias OutboundOut = Frame

  private let settings: ConnectionSettings
  private let limit: FrameLimit
  let use = ConnectionUse()
  /// Set by who made the connection, before anything can come in.
  var signal: @Sendable (ConnectionSignal) -> Void = { _ in }
  private var state: ConnectionState<Call>
  private var context: ChannelHandlerContext?
  private var ticks: RepeatedTask?

  init(settings: ConnectionSettings, limit: FrameLimit) {
    self.settings = settings
    self.limit = limit
    state = ConnectionState(
      login: settings.login, windowBytes: settings.windowBytes, now: .now())
  }

  // MARK: Commands of the owner

  func submit(_ call: Call, id: UInt64, bytes: Int, deadline: NIODeadline) {
    if let error = state.submit(id: id, bytes: bytes, deadline: deadline, call) {
      return call.promise.fail(error)
    }
    writeWhatMayBe()
  }

  func cancel(id: UInt64) { state.cancelled(id: id)?.promise.fail(DFSError.cancelled) }

  /// Fails what is under way, at once, though the peer may answer later.
  func close(_ error: DFSError) { end(error) }

  // MARK: Events of the channel

  func handlerAdded(context: ChannelHandlerContext) { self.context = context }
  func handlerRemoved(context: ChannelHandlerContext) { self.context = nil }

  func channelActive(context: ChannelHandlerContext) {
    let bound = NIOLoopBound(self, eventLoop: context.eventLoop)
    ticks = context.eventLoop.scheduleRepeatedTask(
      initialDelay: settings.tick, delay: settings.tick
    ) { _ in bound.value.tick() }
    context.eventLoop.scheduleTask(in: settings.loginTimeout) { bound.value.loginIsDue() }
  }

  func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
    guard let secured = event as? ChannelSecured else {
      return context.fireUserInboundEventTriggered(event)
    }
    perform(state.opened(secured.binding))
  }

  func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    let frame = Self.unwrapInboundIn(data)
    if state.heard(now: .now()) { signal(.answering) }
    switch frame.message {
    case .push(let push): signal(.push(push))
    case .reply(let id, let reply): replied(id: id, reply.showing(ServerText.shown), frame.body)
    case .unreadable(let id, let error):
      replied(id: id, .failed(Reply.Failed(error).showing(ServerText.shown)), nil)
    case .request, .large:
      end(DFSError(.protocolViolation, "\(settings.login.peer) asked instead of answering"))
    }
  }

  func channelWritabilityChanged(context: ChannelHandlerContext) {
    writeWhatMayBe()
    context.fireChannelWritabilityChanged()
  }

  func channelInactive(context: ChannelHandlerContext) {
    end(DFSError(.disconnected, "\(settings.login.peer) closed the connection"))
    context.fireChannelInactive()
  }

  func errorCaught(context: ChannelHandlerContext, error: any Error) {
    end(ConnectionSettings.failure(error, peer: settings.login.peer))
  }

  // MARK: Performing

  private func replied(id: UInt64, _ reply: Reply, _ body: ByteBuffer?) {
    switch state.replied(id: id, reply) {
    case .none: break
    case .login(let action): perform(action)
    case .deliver(let call):
      call.promise.succeed(Answer(reply: reply, body: body))
      writeWhatMayBe()
    case .close(let error): end(.refusal(by: settings.login.peer, error))
    }
  }

  private func perform(_ action: ConnectionState<Call>.LoginAction) {
    switch action {
    case .none: break
    case .send(let request, let id):
      if case .loginEnd = request { limit.raise() }
      write(.request(id: id, request), body: nil)
      context?.flush()
    case .prove(let scram, let challenge): prove(scram, challenge)
    case .ready(let greeting, let namespace):
      signal(.ready(greeting, namespace))
      writeWhatMayBe()
    case .close(let error): end(error)
    }
  }

  private func prove(_ scram: ScramClient, _ challenge: String) {
    guard let loop = context?.eventLoop else { return }
    let bound = NIOLoopBound(self, eventLoop: loop)
    settings.threads.submit { _ in
      let proof = Result { () throws(DFSError) -> (ScramClient, String) in
        var scram = scram
        let message = try scram.respond(to: challenge)
        return (scram, message)
      }
      loop.execute {
        let handler = bound.value
        handler.perform(handler.state.proved(proof))
      }
    }
  }

  private func writeWhatMayBe() {
    guard let context else { return }
    var wrote = false
    while let next = state.takeNext(isWritable: context.channel.isWritable, now: .now()) {
      wrote = true
      let call = next.waiter
      write(.request(id: next.id, call.request), body: call.body, id: next.id)
    }
    if wrote { context.flush() }
  }

  private func write(_ message: Message, body: ByteBuffer?, id: UInt64 = 0) {
    guard let context else { return }
    let frame = Self.wrapOutboundOut(Frame(message, body: body))
    let bound = NIOLoopBound(self, eventLoop: context.eventLoop)
    context.write(frame).whenFailure { error in
      // Not encoded, or the connection ended; in that case nobody waits any more.
      bound.value.state.notWritten(id: id)?.promise.fail(DFSError(error, else: .disconnected))
    }
  }

  private func tick() {
    let tick = state.tick(now: .now(), watches: settings.watches)
    let peer = settings.login.peer
    for call in tick.expired {
      call.promise.fail(DFSError(.timedOut, "\(peer) did not answer in time"))
    }
    switch tick.liveness {
    case .nothing: closeIfIdle()
    case .ping:
      write(.request(id: ConnectionState<Call>.pingID, .ping(Request.Ping())), body: nil)
      context?.flush()
    case .silent: fallSilent(DFSError(.disconnected, "\(peer) does not answer"))
    case .close: end(DFSError(.disconnected, "\(peer) does not answer"))
    }
  }

  private func fallSilent(_ error: DFSError) {
    signal(.silent)
    for call in state.giveUpAll() { call.promise.fail(error) }
  }

  private func closeIfIdle() {
    guard let limit = settings.idleLimit, state.isIdle, use.idleTime > limit else { return }
    end(DFSError(.disconnected, "an idle connection to \(settings.login.peer) was closed"))
  }

  private func loginIsDue() {
    guard case .loggingIn = state.phase else { return }
    end(DFSError(.disconnected, "\(settings.login.peer) accepts connections but does not answer"))
  }

  /// The one end: the owner is told first, so that nobody asks here again, then all who wait.
  private func end(_ error: DFSError) {
    guard let waiting = state.closed(error) else { return }
    ticks?.cancel()
    signal(.closed(error))
    for call in waiting { call.promise.fail(error) }
    context?.close(promise: nil)
    context = nil
  }
}
