internal import DFSCore
internal import DFSWire
internal import NIOCore

/// Every decision of one connection, as a value: it logs in, then carries requests and their
/// answers until it is closed. `ConnectionHandler` performs what the events return.
///
/// Invariants:
/// - Nothing but the login is written before the login is done.
/// - Every waiter is answered exactly once: by the reply, a deadline, its cancellation or the end.
struct ConnectionState<Waiter> {
  /// Ids below are the login's.
  static var firstRequestID: UInt64 { 16 }
  static var pingID: UInt64 { 15 }

  enum Phase {
    case loggingIn(ConnectionLogin, nextID: UInt64)
    case ready
    case closed(DFSError)
  }

  private(set) var phase: Phase
  private var requests: ConnectionRequests<Waiter>
  private var liveness: ConnectionLiveness
  private var pingIsOpen: NIODeadline?

  init(login: ConnectionLogin, windowBytes: Int, now: NIODeadline) {
    phase = .loggingIn(login, nextID: 1)
    requests = ConnectionRequests(windowBytes: windowBytes)
    liveness = ConnectionLiveness(now: now)
  }

  // MARK: Login

  enum LoginAction {
    case none
    case send(Request, id: UInt64)
    case prove(ScramClient, challenge: String)
    case ready(Reply.Greeting, NamespaceID?)
    case close(DFSError)
  }

  /// - Parameter binding: of the encrypted connection; nil if it is not encrypted.
  mutating func opened(_ binding: ChannelBinding?) -> LoginAction {
    guard case .loggingIn(var login, _) = phase else { return .none }
    login.binding = binding
    return perform(.send(.hello(login.hello)), of: login)
  }

  mutating func proved(_ proof: Result<(ScramClient, String), DFSError>) -> LoginAction {
    guard case .loggingIn(var login, _) = phase, let action = login.proved(proof) else {
      return .none
    }
    return perform(action, of: login)
  }

  private mutating func perform(
    _ action: ConnectionLogin.Action, of login: ConnectionLogin
  ) -> LoginAction {
    guard case .loggingIn(_, let id) = phase else { return .none }
    switch action {
    case .send(let request):
      phase = .loggingIn(login, nextID: id + 1)
      return .send(request, id: id)
    case .prove(let scram, let challenge):
      phase = .loggingIn(login, nextID: id)
      return .prove(scram, challenge: challenge)
    case .ready(let greeting, let namespace):
      phase = .ready
      return .ready(greeting, namespace)
    case .fail(let error): return .close(error)
    }
  }

  // MARK: Requests

  /// Takes a request, to be written by `takeNext`.
  /// - Returns: the reason if the connection is closed.
  mutating func submit(id: UInt64, bytes: Int, deadline: NIODeadline, _ waiter: Waiter)
    -> DFSError?
  {
    if case .closed(let error) = phase { return error }
    requests.submit(id: id, bytes: bytes, deadline: deadline, waiter)
    return nil
  }

  mutating func takeNext(isWritable: Bool, now: NIODeadline) -> (id: UInt64, waiter: Waiter)? {
    guard case .ready = phase, isWritable else { return nil }
    return requests.takeNext(now: now)
  }

  mutating func cancelled(id: UInt64) -> Waiter? { requests.giveUp(id: id) }
  mutating func notWritten(id: UInt64) -> Waiter? { requests.notWritten(id: id) }

  // MARK: What comes in

  enum Arrival {
    case none
    case login(LoginAction)
    case deliver(Waiter)
    case close(DFSError)
  }

  /// - Returns: whether the peer had been silent.
  mutating func heard(now: NIODeadline) -> Bool { liveness.heard(now: now) }

  mutating func replied(id: UInt64, _ reply: Reply) -> Arrival {
    if id == 0 { return .close(Self.failure(reply)) }
    switch phase {
    case .closed: return .none
    case .loggingIn(var login, let next):
      guard id == next - 1 else { return .close(Self.unknown(id)) }
      let action = login.replied(reply)
      return .login(perform(action, of: login))
    case .ready where id == Self.pingID:
      pingIsOpen = nil
      return .none
    case .ready:
      switch requests.answered(id: id) {
      case .deliver(let waiter): return .deliver(waiter)
      case .ignore: return .none
      case .unknown: return .close(Self.unknown(id))
      }
    }
  }

  private static func failure(_ reply: Reply) -> DFSError {
    if case .failed(let failed) = reply { return failed.error }
    return unknown(0)
  }

  private static func unknown(_ id: UInt64) -> DFSError {
    DFSError(.protocolViolation, "an answer to a question \(id) that was not asked")
  }

  // MARK: Time and the end

  struct Tick {
    var expired: [Waiter] = []
    var liveness = ConnectionLiveness.Action.nothing
  }

  /// - Parameter watches: whether the peer is to be asked when it is quiet.
  mutating func tick(now: NIODeadline, watches: Bool) -> Tick {
    guard case .ready = phase else { return Tick() }
    var tick = Tick(expired: requests.expire(now: now))
    guard watches else { return tick }
    let waitingSince = [requests.waitingSince, pingIsOpen].compactMap { $0 }.min()
    tick.liveness = liveness.tick(now: now, waitingSince: waitingSince)
    if tick.liveness == .ping { pingIsOpen = now }
    return tick
  }

  /// Gives up what waits; the connection stays.
  mutating func giveUpAll() -> [Waiter] { requests.giveUpAll() }

  /// - Returns: the waiters to be told, or nil if it was closed before.
  mutating func closed(_ error: DFSError) -> [Waiter]? {
    if case .closed = phase { return nil }
    phase = .closed(error)
    return requests.giveUpAll()
  }

  var isIdle: Bool { requests.isEmpty }
}
