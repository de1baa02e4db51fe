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

  /// Whether a lease is to be asked for by the question that is put to this server next.
  func asks(_ server: ServerIndex) -> Request.Lease? {
    let (lease, begins) = state.withLock { state -> (Request.Lease?, Bool) in
      guard state.worth.use(at: environment.now) else { return (nil, false) }
      let pushes = state.held.asks(server)
      defer { state.isWatching = true }
      return (Request.Lease(.asked, pushes: pushes), !state.isWatching)
    }
    if begins { Task { await watch() } }
    return lease
  }

  // MARK: What comes and goes

  /// A message is sent.
  func sends(to server: ServerIndex) -> Sent {
    state.withLock { $0.held.sends(to: server, at: environment.now) }
  }

  /// A message was answered.
  /// - Parameter isGrant: it asked for a lease, and has it.
  func answered(_ sent: Sent, isGrant: Bool) {
    state.withLock { $0.held.answered(sent, isGrant: isGrant) }
  }

  /// A connection has begun or ended.
  func reset(_ server: ServerIndex) { state.withLock { $0.held.reset(server) } }

  /// The cache has dropped what a push named.
  func pushed(by server: ServerIndex) {
    let lease = state.withLock { state -> Request.Lease? in
      state.worth.tell(at: environment.now)
      return state.held.pushed(by: server).map { Request.Lease(.seen, pushes: $0) }
    }
    guard let lease else { return }
    say(lease, to: server)
  }

  private func say(_ lease: Request.Lease, to server: ServerIndex) {
    let sent = sends(to: server)
    requests.ask(server, lease, timeout: Self.timeout) { answer in
      if case .success = answer { self.answered(sent, isGrant: false) }
    }
  }

  /// Gives leases up once they are not worth having.
  private func watch() async {
    while true {
      try? await environment.sleep(for: pause)
      let isOver = state.withLock { state in
        guard state.worth.isOver(at: environment.now) else { return false }
        state.isWatching = false
        return true
      }
      guard !isOver else { return giveUp() }
    }
  }

  private func giveUp() {
    let given = state.withLock { $0.held.giveUp() }
    for (server, pushes) in given { say(Request.Lease(.givenUp, pushes: pushes), to: server) }
  }

  /// Gives all leases up, so that nobody waits for them, and waits a moment until the servers have heard it.
  func end() async {
    let given = state.withLock { $0.held.giveUp() }
    await withTaskGroup(of: Void.self) { group in
      for (server, pushes) in given {
        group.addTask { [requests] in
          _ = try? await requests.ask(
            server, Request.Lease(.givenUp, pushes: pushes), timeout: .milliseconds(500))
        }
      }
    }
  }
}
