public import DFSCore

/// The read leases that one server has granted for one user's namespace, as a value: who has not seen which
/// change, and what may be shown.
///
/// Changes are numbered as the server announces them. A holder is a connection; it is told of each change but its own
/// (whose rows it dropped when it sent it), and says how far it has dropped what changed.
///
/// Invariants:
/// - A change is shown, in whatever answer, only when `seen` has reached it: each lease that is older than the change
///   has seen it or cannot be trusted without having seen it.
/// - A client trusts a lease for a time after it sent the last message that was answered, and an answer that was written
///   after a push is read after it. So a change is waited for no longer than `LeaseTerm.granted` after the last message
///   that was heard before its push was written.
/// - That a holder is silent or its connection has ended proves nothing else (the holder may not know). A lease lasts as
///   long as its connection, and the time of the last message after that.
public struct GrantedLeases<Instant: InstantProtocol & Sendable>: Sendable
where Instant.Duration == Duration {
  /// A connection.
  public typealias Holder = UInt64

  private struct Lease: Sendable {
    let client: ClientID
    var heard: Instant
    var isConnected = true
    /// The changes that it has not seen, in order, and how long it is waited for; nil: its push was not written yet.
    var owed: [(number: UInt64, until: Instant?)] = []
  }

  private let term: LeaseTerm
  private var leases: [Holder: Lease] = [:]
  /// The number of the last change that was announced.
  public private(set) var announced: UInt64 = 0

  /// Nothing is granted yet.
  public init(_ term: LeaseTerm) { self.term = term }

  /// Who holds leases.
  public var clients: Set<ClientID> { Set(leases.values.map(\.client)) }

  /// The last change that every holder has seen, or is not waited for any more.
  public var seen: UInt64 {
    leases.values.reduce(announced) { min($0, ($1.owed.first?.number).map { $0 - 1 } ?? announced) }
  }

  /// Whether this connection holds one.
  public func holds(_ holder: Holder) -> Bool { leases[holder] != nil }

  /// Grants or renews a lease. Those of the client's earlier connections end: it has dropped all that it knew when
  /// those ended. What was announced before was pushed before the answer.
  public mutating func grant(_ holder: Holder, to client: ClientID, now: Instant) {
    for (other, lease) in leases where lease.client == client && other != holder {
      leases[other] = nil
    }
    leases[holder, default: Lease(client: client, heard: now)].heard = now
  }

  /// A message of this connection has come.
  public mutating func heard(_ holder: Holder, now: Instant) { leases[holder]?.heard = now }

  /// This connection has ended.
  public mutating func disconnected(_ holder: Holder) { leases[holder]?.isConnected = false }

  /// A change is about to be announced.
  /// - Parameter author: the connection that brought it, which is not told.
  /// - Returns: its number.
  public mutating func announce(by author: Holder?) -> UInt64 {
    announced += 1
    for holder in leases.keys where holder != author {
      leases[holder]?.owed.append((announced, nil))
    }
    return announced
  }

  /// The push of the changes up to this one was written on a holder's connection.
  public mutating func told(_ holder: Holder, through number: UInt64) {
    guard var lease = leases[holder] else { return }
    let until = lease.heard.advanced(by: term.granted)
    for index in lease.owed.indices.reversed() {
      guard lease.owed[index].until == nil else { break }
      if lease.owed[index].number <= number { lease.owed[index].until = until }
    }
    leases[holder] = lease
  }

  /// A holder has dropped what the changes up to this one changed.
  public mutating func saw(_ holder: Holder, through number: UInt64) {
    leases[holder]?.owed.removeAll { $0.number <= number }
  }

  /// A holder gives its lease up.
  public mutating func end(_ holder: Holder) { leases[holder] = nil }

  /// Ends what is over for one holder.
  /// - Returns: when to look again; nil: at its next change or the end of its connection.
  public mutating func look(_ holder: Holder, now: Instant) -> Instant? {
    guard var lease = leases[holder] else { return nil }
    let end = lease.heard.advanced(by: term.granted)
    guard lease.isConnected || now < end else {
      leases[holder] = nil
      return nil
    }
    lease.owed.removeAll { ($0.until ?? end) <= now }
    leases[holder] = lease
    return lease.owed.first.map { $0.until ?? end } ?? (lease.isConnected ? nil : end)
  }
}
