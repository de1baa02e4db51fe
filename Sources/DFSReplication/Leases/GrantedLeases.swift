public import DFSCore

/// The read leases that one server has granted for one user's namespace, as a value: who has not seen which
/// change, and what may be shown.
///
/// Changes are numbered as the server announces them. A holder is a connection; it is told of each change but its own
/// (whose rows it dropped when it sent it), and says how far it has dropped what changed.
///
/// Invariants:
/// - A change is shown, in whatever answer, only when `seen` has reached it: each lease that is older than the change
///   has seen it or has ended.
/// - A lease ends when its holder gives it up, or `LeaseTerm.granted` after the holder was heard last; that its
///   connection has ended proves nothing (the holder may not know).
/// - Once a lease has ended by time, or its holder has owed an answer for that long, nothing is answered on that
///   connection any more: the holder would take it for a sign of life.
public struct GrantedLeases<Instant: InstantProtocol & Sendable>: Sendable
where Instant.Duration == Duration {
  /// A connection.
  public typealias Holder = UInt64

  private struct Lease: Sendable {
    let client: ClientID
    var heard: Instant
    /// The changes that it has not seen, in order.
    var owed: [(number: UInt64, since: Instant)] = []
  }

  private let term: LeaseTerm
  private var leases: [Holder: Lease] = [:]
  /// The number of the last change that was announced.
  public private(set) var announced: UInt64 = 0

  /// Nothing is granted yet.
  public init(_ term: LeaseTerm) { self.term = term }

  /// Who holds leases.
  public var clients: Set<ClientID> { Set(leases.values.map(\.client)) }

  /// The last change that every holder has seen.
  public var seen: UInt64 {
    leases.values.reduce(announced) { min($0, ($1.owed.first?.number).map { $0 - 1 } ?? announced) }
  }

  /// Whether this connection holds one.
  public func holds(_ holder: Holder) -> Bool { leases[holder] != nil }

  /// Grants or renews a lease. Those of the client's earlier connections end: it has dropped all that it knew when
  /// those ended.
  ///
  /// The answer tells the head with all that was announced, and is given when that may be shown.
  public mutating func grant(_ holder: Holder, to client: ClientID, now: Instant) {
    for (other, lease) in leases where lease.client == client && other != holder {
      leases[other] = nil
    }
    leases[holder, default: Lease(client: client, heard: now)].heard = now
  }

  /// A message of this connection has come.
  public mutating func heard(_ holder: Holder, now: Instant) { leases[holder]?.heard = now }

  /// A change is about to be announced.
  /// - Parameter author: the connection that brought it, which is not told.
  /// - Returns: its number.
  public mutating func announce(by author: Holder?, now: Instant) -> UInt64 {
    announced += 1
    for holder in leases.keys where holder != author {
      leases[holder]?.owed.append((announced, now))
    }
    return announced
  }

  /// A holder has dropped what the changes up to this one changed.
  public mutating func saw(_ holder: Holder, through number: UInt64) {
    leases[holder]?.owed.removeAll { $0.number <= number }
  }

  /// A holder gives its lease up.
  public mutating func end(_ holder: Holder) { leases[holder] = nil }

  /// What is due for one holder.
  public enum Due: Hashable, Sendable {
    /// It holds no lease.
    case nothing
    /// Ask again then.
    case later(Instant)
    /// Its connection is to be closed: it owes an answer for too long. Its lease has not ended yet.
    case close
    /// Its lease has ended, and its connection is to be closed.
    case ended
  }

  /// Looks after one holder; ends its lease if that has run out.
  public mutating func due(_ holder: Holder, now: Instant) -> Due {
    guard let lease = leases[holder] else { return .nothing }
    let end = lease.heard.advanced(by: term.granted)
    if end <= now {
      leases[holder] = nil
      return .ended
    }
    guard let owes = lease.owed.first?.since.advanced(by: term.granted) else { return .later(end) }
    return owes <= now ? .close : .later(min(end, owes))
  }
}
