public import DFSCore

/// The read leases that a client holds of the four servers, as a value.
///
/// With three that are live, what the cache knows is the truth, without asking: a change that was acknowledged was
/// shown by three servers, of which at most one has forgotten it since; so one of any three had to wait until this
/// client had dropped the rows that it changed.
///
/// Invariants:
/// - A lease is of one connection, and live until `LeaseTerm.trusted` after the sending of the last message that was
///   answered on it.
/// - What a server pushes on a connection where a lease was asked for is answered by how many pushes were worked off.
/// - Leases are given up when no question for one is open, and asked for anew when the servers have answered that. So
///   a server ends no lease after it granted it anew.
public struct HeldLeases<Instant: InstantProtocol & Sendable>: Sendable
where Instant.Duration == Duration {
  /// A message on its way: on which connection, and since when.
  public struct Sent: Sendable {
    let server: ServerIndex
    let connection: UInt64
    let time: Instant
  }

  private enum Phase: Sendable { case none, asked, granted, givenUp }

  private struct Held: Sendable {
    var connection: UInt64 = 0
    var phase = Phase.none
    /// Questions for a lease that are not answered.
    var open = 0
    /// When the last message was sent that was answered.
    var proven: Instant?
    var pushes: UInt64 = 0

    var isAsked: Bool { phase == .asked || phase == .granted }
  }

  private let term: LeaseTerm
  private var held = [Held](repeating: Held(), count: Limits.serverCount)

  /// None is held yet.
  public init(_ term: LeaseTerm) { self.term = term }

  /// A connection has begun or ended.
  public mutating func reset(_ server: ServerIndex) {
    held[server.value] = Held(connection: held[server.value].connection + 1)
  }

  /// A message is sent.
  public func sends(to server: ServerIndex, at time: Instant) -> Sent {
    Sent(server: server, connection: held[server.value].connection, time: time)
  }

  /// A message was answered.
  public mutating func answered(_ sent: Sent) {
    let index = sent.server.value
    guard held[index].connection == sent.connection else { return }
    held[index].proven = held[index].proven.map { max($0, sent.time) } ?? sent.time
  }

  // MARK: Asking and giving up

  /// A lease is asked for by the message that is sent next.
  /// - Returns: what `ended` is to be told about it; nil: not now.
  public mutating func asks(_ server: ServerIndex, at time: Instant) -> Sent? {
    guard held[server.value].phase != .givenUp else { return nil }
    if held[server.value].phase == .none { held[server.value].phase = .asked }
    held[server.value].open += 1
    return sends(to: server, at: time)
  }

  /// A message that asked for a lease has ended.
  /// - Parameter isGranted: whether it was answered with one.
  public mutating func ended(_ sent: Sent, isGranted: Bool) {
    let index = sent.server.value
    guard held[index].connection == sent.connection else { return }
    held[index].open -= 1
    if isGranted, held[index].phase == .asked { held[index].phase = .granted }
  }

  /// Whether leases may be given up now.
  public var mayGiveUp: Bool { held.allSatisfy { $0.open == 0 } }

  /// All leases are given up.
  /// - Returns: for each server that is to be told, what `gaveUp` is to be told when that has ended.
  public mutating func giveUp(at time: Instant) -> [(server: ServerIndex, sent: Sent)] {
    let asked = ServerIndex.all.filter { held[$0.value].isAsked }
    for server in asked { held[server.value].phase = .givenUp }
    return asked.map { ($0, sends(to: $0, at: time)) }
  }

  /// A server has ended its lease, or is silent.
  public mutating func gaveUp(_ sent: Sent) {
    let index = sent.server.value
    guard held[index].connection == sent.connection else { return }
    if held[index].phase == .givenUp { held[index].phase = .none }
  }

  // MARK: Using

  /// What changed was dropped.
  /// - Returns: how many pushes of this connection were worked off, if that is to be said.
  public mutating func pushed(by server: ServerIndex) -> UInt64? {
    held[server.value].pushes += 1
    return held[server.value].isAsked ? held[server.value].pushes : nil
  }

  /// Whether three leases are live.
  public func areLive(at now: Instant) -> Bool {
    let live = held.count { held in
      held.phase == .granted && held.proven.map { now <= $0.advanced(by: term.trusted) } ?? false
    }
    return live >= Limits.quorum
  }
}
