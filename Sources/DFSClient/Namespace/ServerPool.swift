internal import DFSConfiguration
package import DFSCore
internal import DFSReplication
package import DFSSystem
package import DFSWire
package import NIOCore
internal import Synchronization

/// Who takes small questions to servers.
package protocol ServerQuestions: Sendable {
  /// - Parameter answer: called once, later, and on the loop on which answers come in, if there is
  ///   one; must be quick.
  func ask<Message: RequestMessage>(
    _ server: ServerIndex, _ message: Message, timeout: Duration,
    _ answer: @escaping @Sendable (Result<Message.Answer, DFSError>) -> Void)
}

/// The four servers, as far as the namespace needs them: a small request, one answer.
package protocol ServerRequests: ServerQuestions {
  /// Logged in and answering.
  var reachable: ServerSet { get }
  func states() -> [ServerState]
  /// Servers that are away are tried again at once, and waited for for a moment.
  func reconnect() async
  /// Servers that refused the login are tried again, since they may not refuse it now, and waited for
  /// for a moment. Those that are away are not: a read need not wait for them.
  func retryRefused() async
  /// What the server replies, whatever it is; `ask` knows what the reply says.
  /// - Throws: `disconnected` or `timedOut`.
  func exchange(
    _ server: ServerIndex, _ request: Request, timeout: Duration
  ) async throws(DFSError) -> Reply
  /// The event loop on which answers come in, if there is one; else any.
  var loop: any EventLoop { get }
  /// Where this client takes time and chance from.
  var environment: any Environment { get }
  /// As the other, without a task.
  /// - Parameter answer: called once, later, and on the loop on which answers come in, if there is
  ///   one; must be quick.
  func exchange(
    _ server: ServerIndex, _ request: Request, timeout: Duration,
    _ answer: @escaping @Sendable (Result<Reply, DFSError>) -> Void)
  /// The namespace that servers say this is; nil as long as none has one.
  var namespace: NamespaceID? { get }
  /// Three servers have agreed on something in this namespace.
  func agreed(on namespace: NamespaceID?)
  /// A server has told its head.
  /// - Throws: `configuration` if it is of another namespace or cluster than the others: what it says is
  ///   not to be believed.
  func heard(_ head: Head, of server: ServerIndex) throws(DFSError)
}

extension ServerRequests {
  /// - Throws: what the server failed with, `disconnected` or `timedOut`; `protocolViolation` if it gives an
  ///   answer to something else.
  func ask<Message: RequestMessage>(
    _ server: ServerIndex, _ message: Message, timeout: Duration
  ) async throws(DFSError) -> Message.Answer {
    let reply = try await exchange(server, message.request, timeout: timeout)
    return try Message.answer(in: reply, by: server)
  }

  /// - Parameter answer: called once, later, and on the loop on which answers come in, if there is
  ///   one; must be quick.
  package func ask<Message: RequestMessage>(
    _ server: ServerIndex, _ message: Message, timeout: Duration,
    _ answer: @escaping @Sendable (Result<Message.Answer, DFSError>) -> Void
  ) {
    exchange(server, message.request, timeout: timeout) { result in
      answer(
        result.flatMap { reply in
          Result { () throws(DFSError) in try Message.answer(in: reply, by: server) }
        })
    }
  }
}

/// Asks servers, and notes what every answer tells besides: that the server lives, how fast it is,
/// and its head.
final class ServerPool: ServerQuestions {
  static let pingTimeout = Duration.seconds(2)
  /// A server not heard of for this long is pinged before it is counted on.
  static let heardWithin = Duration.seconds(1)
  /// Three servers prove what is read. One that has not answered for this long is not waited for: the
  /// fourth is asked as well, and from then on before it.
  static let reserveAfter = Duration.milliseconds(10)

  private struct Notes {
    var heard: ContinuousClock.Instant?
    /// Of pings, in seconds; a running mean.
    var latency: Double = 0
    /// Requests that it has not answered, and how long it has answered none of them.
    var unanswered = 0
    var silentSince: ContinuousClock.Instant?

    mutating func asked(_ now: ContinuousClock.Instant) {
      if unanswered == 0 { silentSince = now }
      unanswered += 1
    }

    mutating func ended(_ now: ContinuousClock.Instant) {
      unanswered -= 1
      silentSince = unanswered == 0 ? nil : now
    }
  }

  let requests: any ServerRequests
  let cache: RowCache
  let loop: any EventLoop
  let environment: any Environment
  /// Calls back when the servers that were left out are asked too.
  let reserve: DelayQueue
  /// Nil: this client asks for none.
  let leases: ReadLeases?
  private let notes: Mutex<[Notes]>
  private let turn = Mutex(0)

  init(requests: any ServerRequests, cache: RowCache, leases term: LeaseTerm? = nil) {
    leases = term.map { ReadLeases($0, requests: requests) }
    self.requests = requests
    self.cache = cache
    loop = requests.loop
    environment = requests.environment
    reserve = DelayQueue(Self.reserveAfter, on: loop)
    notes = Mutex(Array(repeating: Notes(), count: Limits.serverCount))
  }

  var reachable: ServerSet { requests.reachable }

  func ask<Message: RequestMessage>(
    _ server: ServerIndex, _ message: Message, timeout: Duration
  ) async throws(DFSError) -> Message.Answer {
    let question = asks(server)
    defer { ended(server) }
    let reply = try await requests.exchange(server, message.request, timeout: timeout)
    return try heard(reply, to: Message.self, by: server, question)
  }

  /// - Parameter answer: called once, later; must be quick.
  func ask<Message: RequestMessage>(
    _ server: ServerIndex, _ message: Message, timeout: Duration,
    _ answer: @escaping @Sendable (Result<Message.Answer, DFSError>) -> Void
  ) {
    let question = asks(server)
    requests.exchange(server, message.request, timeout: timeout) { result in
      self.ended(server)
      answer(
        result.flatMap { reply in
          Result { () throws(DFSError) in
            try self.heard(reply, to: Message.self, by: server, question)
          }
        })
    }
  }

  /// What is known of a question that is under way.
  private struct Question {
    /// Of the connection.
    let generation: UInt64
    let sent: ReadLeases.Sent?
  }

  private func asks(_ server: ServerIndex) -> Question {
    let now = environment.now
    notes.withLock { $0[server.value].asked(now) }
    return Question(
      generation: cache.generation(of: server), sent: leases?.sends(to: server))
  }

  /// It has answered, or will not any more.
  private func ended(_ server: ServerIndex) {
    let now = environment.now
    notes.withLock { $0[server.value].ended(now) }
  }

  private func heard<Message: RequestMessage>(
    _ reply: Reply, to message: Message.Type, by server: ServerIndex, _ question: Question
  ) throws(DFSError) -> Message.Answer {
    let answer = try Message.answer(in: reply, by: server)
    if let head = reply.toldHead {
      try requests.heard(head, of: server)
      cache.told(head, by: server, generation: question.generation)
    }
    if let sent = question.sent { leases?.answered(sent) }
    notes.withLock { $0[server.value].heard = environment.now }
    return answer
  }

  /// The head of a server, and all its pushes up to it delivered.
  func ping(_ server: ServerIndex) async throws(DFSError) -> Head {
    let began = environment.now
    let pong = try await ask(server, Request.Ping(), timeout: Self.pingTimeout)
    note(server, began)
    return pong.head
  }

  /// - Parameter answer: called once, later, with the head or nil; must be quick.
  func ping(_ server: ServerIndex, _ answer: @escaping @Sendable (Head?) -> Void) {
    let began = environment.now
    ask(server, Request.Ping(), timeout: Self.pingTimeout) { result in
      guard case .success(let pong) = result else { return answer(nil) }
      self.note(server, began)
      answer(pong.head)
    }
  }

  /// The same, and asks for a read lease where that is worth having.
  func pingForLease(_ server: ServerIndex, _ answer: @escaping @Sendable (Head?) -> Void) {
    let began = environment.now
    let isAsked = leases?.ask(server, through: self, timeout: Self.pingTimeout) { result in
      switch result {
      case .success(let pong):
        self.note(server, began)
        answer(pong.head)
      // A server of an earlier release grants none.
      case .failure(let error) where !error.isOfTheNet: self.ping(server, answer)
      case .failure: answer(nil)
      }
    }
    if isAsked != true { ping(server, answer) }
  }

  /// The rows that one server has, and its head.
  func query(
    _ queries: [Query], of server: ServerIndex, timeout: Duration
  ) async throws(DFSError) -> QuorumRead.Rows {
    let answers = try await ask(server, Request.Query(queries), timeout: timeout)
    return try Self.rows(of: answers, to: queries, by: server)
  }

  /// - Parameter answer: called once, later; must be quick.
  func query(
    _ queries: [Query], of server: ServerIndex, timeout: Duration,
    _ answer: @escaping @Sendable (Result<QuorumRead.Rows, DFSError>) -> Void
  ) {
    ask(server, Request.Query(queries), timeout: timeout) { result in
      answer(
        result.flatMap { answers in
          Result { () throws(DFSError) in
            try Self.rows(of: answers, to: queries, by: server)
          }
        })
    }
  }

  private static func rows(
    of told: Reply.Answers, to queries: [Query], by server: ServerIndex
  ) throws(DFSError) -> QuorumRead.Rows {
    guard told.answers.count == queries.count else {
      throw DFSError(
        .protocolViolation,
        "\(server) gave \(told.answers.count) answers to \(queries.count) queries")
    }
    return QuorumRead.Rows(answers: told.answers, head: told.head)
  }

  /// A ping was answered.
  private func note(_ server: ServerIndex, _ began: ContinuousClock.Instant) {
    let latency = (environment.now - began) / .seconds(1)
    notes.withLock {
      let mean = $0[server.value].latency
      $0[server.value].latency = mean == 0 ? latency : mean * 0.9 + latency * 0.1
    }
  }

  /// The servers in the order in which they are best asked: in turn, those last that are much slower than the
  /// fastest or do not answer just now.
  func byPreference(_ servers: ServerSet) -> [ServerIndex] {
    let silent = environment.now - Self.reserveAfter
    let notes = notes.withLock { $0 }
    let first = turn.withLock {
      $0 = ($0 + 1) % Limits.serverCount
      return $0
    }
    let turned = ServerIndex.all[first...] + ServerIndex.all[..<first]
    let candidates = turned.filter { servers.contains($0) }
    let fastest = candidates.map { notes[$0.value].latency }.min() ?? 0
    let isSlow = { (server: ServerIndex) in
      let notes = notes[server.value]
      return notes.latency > 3 * fastest + 0.002 || notes.silentSince.map { $0 < silent } ?? false
    }
    return candidates.filter { !isSlow($0) } + candidates.filter(isSlow)
  }

  // MARK: Whether enough servers are there

  /// Requires that enough servers answer for a change under `policy`, once for all that one call does; waits
  /// for servers that were lost a moment ago, at the longest for `patience`.
  /// - Parameter known: what this returned for the same call before. Those servers are not asked again, as
  ///   long as they are connected.
  /// - Throws: `serversMissing` if too few servers answer.
  /// - Returns: the servers that answer.
  func require(
    _ policy: WritePolicy, patience: Duration = .zero, known: ServerSet = []
  ) async throws(DFSError) -> ServerSet {
    let left = known.intersection(reachable)
    if left.count >= policy.serverCount { return left }
    let deadline = environment.now + patience
    while true {
      if reachable.count < policy.serverCount { await requests.reconnect() }
      var answering = reachable
      if answering.count >= policy.serverCount { answering = await self.answering() }
      if answering.count >= policy.serverCount { return answering }
      try Task.checkNotCancelled()
      guard someMayReturn, environment.now < deadline else {
        throw missing(
          answering: answering,
          policy == .all
            ? "all four servers are needed to write (writes = all)"
            : "three servers are needed to write (writes = quorum)")
      }
      try? await environment.sleep(for: .milliseconds(50))
    }
  }

  /// Requires that so many servers are up, at least one, so that anything can be read.
  /// - Throws: `loginFailed` if none is, and one refused the login; else `serversMissing`.
  func require(up minimum: Int) throws(DFSError) {
    let states = requests.states()
    let up = ServerSet(states.filter(\.isUp).map(\.server))
    guard up.count < max(1, minimum) else { return }
    if up.isEmpty, states.contains(where: { $0.problem?.code == .loginFailed }) {
      throw DFSError(.loginFailed, "Invalid Username/Password. Please try again.")
    }
    throw missing(
      answering: up,
      minimum > 1 ? "at least \(minimum) are needed" : "at least one is needed")
  }

  /// The servers that answer now: those heard of lately, and of the others those that answer a ping.
  private func answering() async -> ServerSet {
    let now = environment.now
    let heard = notes.withLock { notes in
      ServerSet(
        reachable.servers.filter {
          notes[$0.value].heard.map { now - $0 < Self.heardWithin } ?? false
        })
    }
    let others = reachable.subtracting(heard)
    guard !others.isEmpty else { return heard }
    return await withTaskGroup(of: ServerIndex?.self) { group in
      for server in others.servers {
        group.addTask { (try? await self.ping(server)) == nil ? nil : server }
      }
      return await group.reduce(into: heard) { if let server = $1 { $0.insert(server) } }
    }
  }

  var someMayReturn: Bool { requests.states().contains(where: \.mayReturn) }

  /// `3 of 4 servers answer; DFS2 refused the connection; …`
  func missing(answering: ServerSet, _ need: String) -> DFSError {
    let absent = requests.states().filter { !answering.contains($0.server) }
    let causes = absent.map { state -> String in
      let name = state.address.name
      guard !state.isUp, let problem = state.problem else { return "\(name) does not answer" }
      return problem.message.hasPrefix(name) ? problem.message : "\(name): \(problem.message)"
    }
    let facts = ["\(answering.count) of \(Limits.serverCount) servers answer"] + causes + [need]
    return DFSError(.serversMissing, facts.joined(separator: "; "))
  }
}
