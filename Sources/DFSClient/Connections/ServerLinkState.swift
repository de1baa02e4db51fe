internal import DFSCore
internal import NIOCore

/// Every decision about the link to one server: when to connect, when the server counts as
/// reachable, what is told and logged. `ServerLink` performs the actions.
///
/// Invariants:
/// - `connected` and `disconnected` are told in turns, `connected` first.
/// - Between two times up, an absence is logged once.
struct ServerLinkState {
  enum Phase: Hashable {
    case idle
    case connecting
    case up(since: NIODeadline)
    /// Connected, but it leaves questions open.
    case silent(since: NIODeadline)
    /// Connected, but it said that it stops.
    case leaving
    /// Until the time to connect again.
    case waiting
    case stopped
  }

  enum Action: Hashable {
    case connect
    /// Read the password again, then connect.
    case renewAndConnect
    case wait(TimeAmount)
    case tellConnected
    case tellDisconnected
    /// Close the bulk connections.
    case closeBulk(DFSError)
    /// It was tried once, with whatever outcome.
    case tried
    case log(Report)
  }

  enum Report: Hashable {
    case up
    case back
    case away(DFSError)
    case silent
    case answering
  }

  /// A connection that lasted shorter than this does not make the next one quicker.
  static let stablePeriod = TimeAmount.seconds(5)

  private(set) var phase = Phase.idle
  /// Why the server is not up.
  private(set) var problem: DFSError?
  private var backoff = Backoff()
  private var reported: DFSError?
  private var wasUp = false
  /// When it was up last; nil while it is, and before it ever was.
  private var lost: NIODeadline?
  /// When the last attempt ended.
  private var tried: NIODeadline?
  private let peer: String
  /// A server that was lost is waited for so long.
  private let patience: TimeAmount

  init(peer: String, callTimeout: Duration) {
    self.peer = peer
    patience = TimeAmount(ServerState.patience(within: callTimeout))
    problem = DFSError(.disconnected, "\(peer) has not answered yet")
  }

  var isReachable: Bool { if case .up = phase { true } else { false } }

  /// Whether whoever needs it should wait for it.
  func mayReturn(now: NIODeadline) -> Bool {
    guard let lost, phase != .stopped, !(problem.map(Self.isHopeless) ?? false) else {
      return false
    }
    return now - lost < patience
  }

  mutating func started() -> [Action] {
    guard phase == .idle else { return [] }
    phase = .connecting
    return [.connect]
  }

  mutating func ready(now: NIODeadline) -> [Action] {
    guard phase == .connecting else { return [] }
    phase = .up(since: now)
    problem = nil
    lost = nil
    defer {
      wasUp = true
      reported = nil
    }
    return [.tellConnected, .log(wasUp || reported != nil ? .back : .up), .tried]
  }

  /// The connection could not be made, or ended.
  mutating func ended(_ error: DFSError, now: NIODeadline, random: Double = .random(in: 0..<1))
    -> [Action]
  {
    var actions: [Action] = []
    switch phase {
    case .idle, .waiting, .stopped: return []
    case .connecting: break
    case .up(let since), .silent(let since):
      if now - since >= Self.stablePeriod { backoff.reset() }
      actions = [.tellDisconnected, .closeBulk(error)]
    case .leaving: actions = [.tellDisconnected, .closeBulk(error)]
    }
    if !actions.isEmpty { lost = lost ?? now }
    problem = error
    tried = now
    phase = .waiting
    if isNews(error) {
      reported = error
      actions.append(.log(.away(error)))
    }
    return actions + [.tried, .wait(delay(after: error, random))]
  }

  private func isNews(_ error: DFSError) -> Bool {
    guard let reported else { return true }
    return error != reported && Self.isHopeless(error)
  }

  private mutating func delay(after error: DFSError, _ random: Double) -> TimeAmount {
    Self.isHopeless(error)
      ? Backoff.spread(Backoff.hopeless, random) : backoff.delay(random: random)
  }

  /// Whether trying again soon cannot help: the configuration must change first.
  static func isHopeless(_ error: DFSError) -> Bool {
    error.code == .loginFailed || error.code == .configuration
  }

  /// Whether it waits for long, since trying again soon cannot help unless somebody changed something.
  var isRefused: Bool { phase == .waiting && problem.map(Self.isHopeless) ?? false }

  /// The same, and while that is being tried again.
  var wasRefused: Bool {
    (phase == .waiting || phase == .connecting) && problem.map(Self.isHopeless) ?? false
  }

  /// What was refused may be right now; asking costs the server something, so not more often.
  static let refusedPause = TimeAmount.seconds(1)

  /// Somebody needs the server: not later, but now.
  mutating func retryNow(now: NIODeadline) -> [Action] {
    if isRefused, let tried, now - tried < Self.refusedPause { return [] }
    return retryIsDue()
  }

  mutating func retryIsDue() -> [Action] {
    guard phase == .waiting else { return [] }
    phase = .connecting
    return problem?.code == .loginFailed ? [.renewAndConnect] : [.connect]
  }

  mutating func fellSilent(now: NIODeadline) -> [Action] {
    guard case .up(let since) = phase else { return [] }
    phase = .silent(since: since)
    lost = now
    let error = DFSError(.disconnected, "\(peer) does not answer")
    problem = error
    reported = error
    return [.closeBulk(error), .log(.silent)]
  }

  mutating func answers() -> [Action] {
    guard case .silent(let since) = phase else { return [] }
    phase = .up(since: since)
    problem = nil
    lost = nil
    reported = nil
    return [.log(.answering)]
  }

  /// The server said that it stops.
  mutating func leaves(now: NIODeadline) -> [Action] {
    switch phase {
    case .up, .silent:
      phase = .leaving
      lost = lost ?? now
      problem = DFSError(.disconnected, "\(peer) is stopping")
    default: break
    }
    return []
  }

  mutating func stopped() -> [Action] {
    let error = DFSError(.cancelled, "the client is closed")
    defer {
      phase = .stopped
      problem = error
    }
    switch phase {
    case .up, .silent, .leaving: return [.tellDisconnected, .closeBulk(error), .tried]
    default: return [.tried]
    }
  }
}
