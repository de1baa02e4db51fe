internal import DFSCore
internal import DFSStore
internal import DFSWire
internal import Logging
internal import NIOCore

/// Requests of a logged-in user on their way through the store, and answers on their way out.
extension SessionHandler {
  /// What is known of a request until it is answered.
  struct Ticket: Sendable {
    let id: UInt64
    let weight: Int
    /// What the user's load holds for it; nil: the weight.
    var reserve: Int?
  }

  /// The last request of a order, and how many of the order are under way.
  struct OrderTail {
    var task: Task<Void, Never>
    var count: Int
  }

  func start(_ request: Request, _ body: ByteBuffer?, _ ticket: Ticket, _ logged: LoggedIn) {
    guard let context else { return }
    logged.load.countRequest()
    if hasLease { logged.session.store.heardLease(session) }
    // The user's database failed: to its clients this server is down, and they are told why.
    if let failure = logged.session.store.failure { return giveUp(failure, ticket) }
    if case .ping = request {
      return answer(.pong(Reply.Pong(logged.session.store.head())), to: ticket)
    }
    if case .lease(let lease) = request { return perform(lease, ticket, logged) }
    let bound = NIOLoopBound(self, eventLoop: context.eventLoop)
    let loop = context.eventLoop
    if case .namespace(let asked) = request, orders[.namespace] == nil {
      // The store keeps the order of these by itself, and commits together what waits together.
      return logged.session.store.submit(
        asked.step, parts: asked.parts, held: asked.held, durable: asked.durable, session: session
      ) {
        let answer = UserSession.Answer($0).encoded(id: ticket.id)
        loop.execute { bound.value.finish(answer, ticket, nil) }
      }
    }
    let isBegun = SessionLife.$current.withValue(life) {
      logged.session.performAtOnce(request) { answer in
        let answer = answer.encoded(id: ticket.id)
        loop.execute { bound.value.finish(answer, ticket, nil) }
      }
    }
    if isBegun { return }
    let order = request.order
    let previous = order.flatMap { orders[$0]?.task }
    let life = life
    let task = Task {
      await previous?.value
      let answer = await SessionLife.$current.withValue(life) {
        await logged.session.perform(request, body: body).encoded(id: ticket.id)
      }
      loop.execute {
        bound.value.audit(request, answer.reply)
        bound.value.finish(answer, ticket, order)
      }
    }
    if let order { orders[order] = OrderTail(task: task, count: 1 + (orders[order]?.count ?? 0)) }
  }

  func finish(_ answer: UserSession.Answer, _ ticket: Ticket, _ order: RequestOrder?) {
    let ticket = correct(ticket, answer)
    if let order, let tail = orders[order] {
      orders[order] = tail.count > 1 ? OrderTail(task: tail.task, count: tail.count - 1) : nil
    }
    if case .failed(let failed) = answer.reply,
      failed.error.code == .inputOutput || failed.error.code == .damaged
    {
      logger.error("a request failed: \(failed.error)")
    }
    if case .failed = answer.reply, case .loggedIn(let logged) = phase,
      let failure = logged.session.store.failure
    {
      return giveUp(failure, ticket)
    }
    push()
    send(answer.reply, header: answer.header, body: answer.body, to: ticket)
  }

  /// Accounts for what the answer really takes.
  private func correct(_ ticket: Ticket, _ answer: UserSession.Answer) -> Ticket {
    let weight = max(answer.weight ?? 0, ticket.reserve == nil ? ticket.weight : 256)
    window.correct(ticket.weight, reserve: ticket.reserve, to: weight)
    return Ticket(id: ticket.id, weight: weight)
  }

  /// Nothing is served on this connection any more.
  private func giveUp(_ failure: DFSError, _ ticket: Ticket) {
    window.end(ticket.weight, reserve: ticket.reserve)
    refuse(failure)
  }

  /// Writes an answer after the pushes that come before it.
  func answer(_ reply: Reply, body: ByteBuffer? = nil, to ticket: Ticket) {
    push()
    send(reply, body: body, to: ticket)
  }

  /// - Parameter header: the reply as it was encoded, if that was done elsewhere.
  func send(
    _ reply: Reply, header: [UInt8]? = nil, body: ByteBuffer? = nil, to ticket: Ticket
  ) {
    guard let context, !isOver else {
      return window.end(ticket.weight, reserve: ticket.reserve)
    }
    let promise = context.eventLoop.makePromise(of: Void.self)
    promise.futureResult.assumeIsolated().whenComplete { self.left(ticket, $0) }
    let message =
      header.map { Message.large(header: $0, weight: ticket.weight) }
      ?? .reply(id: ticket.id, reply)
    let frame = Frame(message, body: body)
    context.writeAndFlush(Self.wrapOutboundOut(frame), promise: promise)
  }

  /// An answer has left for the socket, or cannot.
  private func left(_ ticket: Ticket, _ result: Result<Void, any Error>) {
    if case .failure(let error as DFSError) = result, !isOver {
      return send(.failed(Reply.Failed(error)), to: ticket)
    }
    window.end(ticket.weight, reserve: ticket.reserve)
    admit()
    closeIfDrained()
  }

  // MARK: Pushes

  /// Something was put into the queue, or the socket takes more.
  func pushWhatWaits() {
    if context?.channel.isWritable == true { push() }
    leaseWatch?.begin()
  }

  private func push() {
    guard let context, case .loggedIn(let logged) = phase, let (push, number) = pushes?.take()
    else { return }
    sentPushes.sent(number, isKept: hasLease)
    if hasLease { logged.session.store.toldChanges(session, through: number) }
    context.writeAndFlush(Self.wrapOutboundOut(Frame(.push(push))), promise: nil)
  }

  // MARK: The end

  /// Answers with an error, and closes once the peer had a chance to read it: closing while bytes
  /// are unread would have the peer's system throw the answer away.
  func refuse(_ error: DFSError, to ticket: Ticket? = nil) {
    guard let context, !isOver else { return }
    if isStranger {
      service.strangerLog.log(.notice, "refused: \(error)", logger)
    } else {
      logger.notice("refused: \(error.description.printable)")
    }
    leave()
    phase = .refused
    backlog = CircularBuffer(initialCapacity: 0)
    let frame = Frame(.reply(id: ticket?.id ?? 0, .failed(Reply.Failed(error))))
    let channel = context.channel
    channel.writeAndFlush(frame).whenComplete { _ in channel.close(mode: .output, promise: nil) }
    deadline?.cancel()
    deadline = context.eventLoop.scheduleTask(in: .seconds(1)) { channel.close(promise: nil) }
    readAgain()
  }

  /// The user's store and audience forget this connection, and what waits for it is not done.
  func leave() {
    life.end()
    endComing()
    guard case .loggedIn(let logged) = phase else { return }
    logged.leave()
    auditLogout()
  }

  /// The server stops: nothing more is begun, and the connection ends with the last answer.
  func drain() {
    guard let context, !isDraining else { return }
    isDraining = true
    if case .loggedIn = phase {
      push()
      context.writeAndFlush(
        Self.wrapOutboundOut(Frame(.push(.goingAway(Push.GoingAway())))), promise: nil)
    }
    closeIfDrained()
  }

  private func closeIfDrained() {
    guard isDraining, window.requests == 0, !isOver else { return }
    context?.close(promise: nil)
  }
}

/// Asks every connection to finish what is under way and to end.
struct Drain: Sendable {}

/// Another stranger has the place of this one now.
struct PlaceLost: Sendable {}
