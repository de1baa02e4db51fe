internal import DFSCore
internal import DFSReplication
internal import DFSSystem
internal import DFSWire
internal import Synchronization

/// The read leases of this client: asked for while they save questions, given up when they do not.
///
/// Invariants:
/// - `areLive` is asked after the cache was looked at; where the cache is undisturbed since then, what it said is the
///   truth at that moment.
/// - The cache has dropped what a push names before that is said to the server.
final class ReadLeases: Sendable {
  private typealias Instant = ContinuousClock.Instant
  typealias Sent = HeldLeases<ContinuousClock.Instant>.Sent

  private struct State {
    var held: HeldLeases<Instant>
    var worth: LeaseWorth<Instant>
    var isWatching = false
  }

  private let requests: any ServerRequests
  private let environment: any Environment
  private let state: Mutex<State>

  /// How often it is looked whether they are still worth having.
  private let pause: Duration
  private static let timeout = Duration.seconds(2)

  init(_ term: LeaseTerm, requests: any ServerRequests) {
    (pause, self.requests) = (term.trusted / 2, requests)
    environment = requests.environment
    state = Mutex(State(held: HeldLeases(term), worth: LeaseWorth(term)))
  }

  // MARK: Asking

  /// Whether what the cache says is the truth without asking anybody.
  func areLive() -> Bool {
    state.withLock { state in
      let now = environment.now
      guard state.held.areLive(at: now) else { return false }
      _ = state.worth.use(at: now)
      return true
    }
  }

  /// Asks a server for a lease, where that is worth having.
  /// - Parameter answer: called once, later, unless this returns false.
  /// - Returns: whether it is asked.
  func ask(
    _ server: ServerIndex, through servers: ServerPool, timeout: Duration,
    _ answer: @escaping @Sendable (Result<Reply.Pong, DFSError>) -> Void
  ) -> Bool {
    let (sent, begins) = state.withLock { state -> (Sent?, Bool) in
      let now = environment.now
      guard state.worth.use(at: now), let sent = state.held.asks(server, at: now) else {
        return (nil, false)
      }
      defer { state.isWatching = true }
      return (sent, !state.isWatching)
    }
    guard let sent else { return false }
    if begins { Task { await watch() } }
    servers.ask(server, Request.Lease(.asked, pushes: 0), timeout: timeout) { result in
      let isGranted = if case .success = result { true } else { false }
      self.state.withLock { $0.held.ended(sent, isGranted: isGranted) }
      answer(result)
    }
    return true
  }

  // MARK: What comes and goes

  /// A message is sent.
  func sends(to server: ServerIndex) -> Sent {
    state.withLock { $0.held.sends(to: server, at: environment.now) }
  }

  /// A message was answered.
  func answered(_ sent: Sent) { state.withLock { $0.held.answered(sent) } }

  /// A connection has begun or ended.
  func reset(_ server: ServerIndex) { state.withLock { $0.held.reset(server) } }

  /// The cache has dropped what a push named.
  func pushed(by server: ServerIndex) {
    let lease = state.withLock { state -> Request.Lease? in
      state.worth.tell(at: environment.now)
      return state.held.pushed(by: server).map { Request.Lease(.seen, pushes: $0) }
    }
    guard let lease else { return }
    let sent = sends(to: server)
    requests.ask(server, lease, timeout: Self.timeout) { result in
      if case .success = result { self.answered(sent) }
    }
  }

  // MARK: Giving up

  /// Gives leases up once they are not worth having.
  private func watch() async {
    while true {
      try? await environment.sleep(for: pause)
      let given = state.withLock { state -> [(server: ServerIndex, sent: Sent)]? in
        let now = environment.now
        guard state.worth.isOver(at: now), state.held.mayGiveUp else { return nil }
        state.isWatching = false
        return state.held.giveUp(at: now)
      }
      if let given { return await giveUp(given, timeout: Self.timeout) }
    }
  }

  /// Gives all leases up, so that nobody waits for them, and waits a moment until the servers have heard it.
  func end() async {
    let given = state.withLock { $0.held.giveUp(at: environment.now) }
    await giveUp(given, timeout: .milliseconds(500))
  }

  private func giveUp(_ given: [(server: ServerIndex, sent: Sent)], timeout: Duration) async {
    await withTaskGroup(of: Void.self) { group in
      for (server, sent) in given {
        group.addTask { [self] in
          _ = try? await requests.ask(
            server, Request.Lease(.givenUp, pushes: 0), timeout: timeout)
          state.withLock { $0.held.gaveUp(sent) }
        }
      }
    }
  }
}
