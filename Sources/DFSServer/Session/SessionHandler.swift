internal import DFSCore
internal import DFSStore
internal import DFSWire
internal import Logging
internal import NIOCore

/// One connection, on its event loop: takes frames, has them performed, writes the answers.
///
/// Flow control: a request is begun only while the connection's window has room; its weight leaves
/// the window when its answer has left for the socket. While requests wait, or the socket takes no
/// more, nothing is read, and TCP stops the sender.
///
/// Invariants:
/// - Before login one request is under way at a time, and only the login's.
/// - Pushes of the changes that an answer's head has are written before it.
/// - After a refusal nothing is performed any more.
/// - Once the channel is closed nothing keeps this alive.
final class SessionHandler: ChannelDuplexHandler {
  typealias InboundIn = Frame
  typealias OutboundIn = Never
  typealias OutboundOut = Frame

  enum Phase {
    case login(Login)
    case loggedIn(LoggedIn)
    /// The last answer was written; what still comes is thrown away.
    case refused
    case closed
  }

  let service: Service
  let limit: FrameLimit
  var context: ChannelHandlerContext?
  var session: SessionID = 0
  var logger: Logger
  var phase: Phase
  var window: Window
  var backlog = CircularBuffer<Frame>(initialCapacity: 0)
  var orders: [RequestOrder: OrderTail] = [:]
  var pushes: PushQueue?
  var sentPushes = SentPushes()
  /// It has asked for a read lease and not given it up.
  var hasLease = false
  var leaseWatch: LeaseWatch?
  var isReadWanted = false
  var isDraining = false
  /// When a login is due, or the end after a refusal.
  var deadline: Scheduled<Void>?
  /// The first frame of the backlog is decoded elsewhere.
  var isDecoding = false
  var coming: ComingFrame?
  let life = SessionLife()

  init(service: Service, limit: FrameLimit) {
    self.service = service
    self.limit = limit
    logger = service.logger
    phase = .login(Login(greeting: service.greeting))
    window = Window(
      requests: service.options.requestsPerConnection, bytes: service.options.bytesPerConnection,
      all: service.bytes)
  }

  // MARK: Events of the channel

  func channelActive(context: ChannelHandlerContext) {
    self.context = context
    session = service.open(context.channel, from: peerAddress)
    logger[metadataKey: "peer"] = "\(context.remoteAddress?.description ?? "unknown")"
    let bound = NIOLoopBound(self, eventLoop: context.eventLoop)
    let limit = TimeAmount.seconds(Int64(service.options.loginSeconds))
    deadline = context.eventLoop.scheduleTask(in: limit) { bound.value.loginIsDue() }
    context.fireChannelActive()
  }

  func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    endComing()
    guard !isOver else { return }
    backlog.append(Self.unwrapInboundIn(data))
    admit()
  }

  func read(context: ChannelHandlerContext) {
    if mayRead { context.read() } else { isReadWanted = true }
  }

  func channelWritabilityChanged(context: ChannelHandlerContext) {
    if context.channel.isWritable {
      pushWhatWaits()
      readAgain()
    }
    context.fireChannelWritabilityChanged()
  }

  func channelInactive(context: ChannelHandlerContext) {
    leave()
    phase = .closed
    backlog = CircularBuffer(initialCapacity: 0)
    deadline?.cancel()
    deadline = nil
    // What the queue wakes is this.
    pushes = nil
    service.close(session)
    leaseWatch?.begin()
    self.context = nil
    context.fireChannelInactive()
  }

  func errorCaught(context: ChannelHandlerContext, error: any Error) {
    guard !isOver else { return }
    if let error = error as? DFSError { return refuse(error) }
    if isStranger {
      service.strangerLog.log(.debug, "connection failed: \(error)", logger)
    } else {
      logger.debug("connection failed: \(error)")
    }
    context.close(promise: nil)
  }

  func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
    switch event {
    case is Drain: drain()
    case let secured as ChannelSecured:
      guard case .login(var login) = phase else { return }
      login.binding = secured.binding
      phase = .login(login)
    case is PlaceLost: loseItsPlace()
    case let frame as UnfinishedFrame: begins(frame)
    default: context.fireUserInboundEventTriggered(event)
    }
  }

  // MARK: Reading

  var isOver: Bool {
    switch phase {
    case .refused, .closed: true
    case .login, .loggedIn: false
    }
  }

  /// Whether nobody is logged in here.
  var isStranger: Bool { if case .loggedIn = phase { false } else { true } }

  private var mayRead: Bool {
    guard let context else { return true }
    if isOver { return true }
    return backlog.isEmpty && coming?.hasRoom ?? true && context.channel.isWritable && !isDraining
  }

  func readAgain() {
    guard isReadWanted, mayRead else { return }
    isReadWanted = false
    context?.read()
  }

  /// Begins the requests that the window has room for, in the order of their arrival.
  func admit() {
    while let frame = backlog.first, !isOver, !isDraining {
      var weight = frame.weight
      if case .large = frame.message { return decode(frame, weight) }
      if case .login = phase {
        guard window.requests == 0 else { break }
        weight = 0
      }
      let reserve = frame.reserve
      guard window.admits(weight, reserve: reserve) else {
        waitForRoom()
        break
      }
      backlog.removeFirst()
      window.begin(weight, reserve: reserve)
      begin(frame, weight, reserve)
    }
    readAgain()
  }

  private func begin(_ frame: Frame, _ weight: Int, _ reserve: Int?) {
    switch frame.message {
    case .request(let id, let request):
      switch phase {
      case .login(var login):
        let action = login.receive(request)
        phase = .login(login)
        perform(action, Ticket(id: id, weight: weight))
      case .loggedIn(let logged):
        start(request, frame.body, Ticket(id: id, weight: weight, reserve: reserve), logged)
      case .refused, .closed: break
      }
    case .unreadable(let id, let error) where id != 0:
      answer(.failed(Reply.Failed(error)), to: Ticket(id: id, weight: weight))
    case .unreadable(_, let error):
      window.end(weight)
      refuse(error)
    case .reply, .push, .large:
      window.end(weight)
      refuse(DFSError(.protocolViolation, "a client asks; it does not answer or push"))
    }
  }
}
