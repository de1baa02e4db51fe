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
public struct HeldLeases<Instant: InstantProtocol & Sendable>: Sendable
where Instant.Duration == Duration {
  /// A message on its way: on which connection, and since when.
  public struct Sent: Sendable {
    let server: ServerIndex
    let connection: UInt64
    let time: Instant
  }

  private struct Held: Sendable {
    var connection: UInt64 = 0
    var isAsked = false
    var isGranted = false
    /// When the last message was sent that was answered.
    var proven: Instant?
    var pushes: UInt64 = 0
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

  /// A lease is asked for by the message that is sent next.
  /// - Returns: how many pushes of this connection were worked off.
  public mutating func asks(_ server: ServerIndex) -> UInt64 {
    held[server.value].isAsked = true
    return held[server.value].pushes
  }

  /// A message was answered.
  /// - Parameter isGrant: it asked for a lease.
  public mutating func answered(_ sent: Sent, isGrant: Bool = false) {
    let index = sent.server.value
    guard held[index].connection == sent.connection else { return }
    if isGrant, held[index].isAsked { held[index].isGranted = true }
    held[index].proven = held[index].proven.map { max($0, sent.time) } ?? sent.time
  }

  /// What changed was dropped.
  /// - Returns: how many pushes of this connection were worked off, if that is to be said.
  public mutating func pushed(by server: ServerIndex) -> UInt64? {
    held[server.value].pushes += 1
    return held[server.value].isAsked ? held[server.value].pushes : nil
  }

  /// All leases are given up.
  /// - Returns: the servers that are to be told, and how many pushes of each connection were worked off.
  public mutating func giveUp() -> [(server: ServerIndex, pushes: UInt64)] {
    let asked = ServerIndex.all.filter { held[$0.value].isAsked }
    for server in asked {
      (held[server.value].isAsked, held[server.value].isGranted) = (false, false)
    }
    return asked.map { ($0, held[$0.value].pushes) }
  }

  /// Whether three leases are live.
  public func areLive(at now: Instant) -> Bool {
    let live = held.count { held in
      held.isGranted && held.proven.map { now <= $0.advanced(by: term.trusted) } ?? false
    }
    return live >= Limits.quorum
  }
}
