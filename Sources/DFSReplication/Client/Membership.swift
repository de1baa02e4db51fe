public import DFSCore

/// What servers say of the cluster or namespace that they are of, and so which of them a client may use.
///
/// Invariants:
/// - Once three servers have said the same, or this client has worked with three, that is it for good.
/// - Until then servers that say the same are used; if they differ, none that says anything is.
/// - A server that says nothing has nothing yet: whoever uses it finds out otherwise whether it may be.
public struct Membership<Kind>: Sendable {
  /// What each server said last that said something.
  public private(set) var claims: [ServerIndex: RandomID<Kind>] = [:]
  /// The servers that said, when last asked, that they have none.
  public private(set) var blank: ServerSet = []
  /// What is known for good.
  public private(set) var known: RandomID<Kind>?

  /// Nothing was heard of any server.
  public init() {}

  /// Notes what a server says that it is of; nil if it has nothing yet.
  public mutating func heard(_ id: RandomID<Kind>?, from server: ServerIndex) {
    claims[server] = id
    if id == nil { blank.insert(server) } else { blank.remove(server) }
    guard known == nil, let id else { return }
    if claims.values.count(where: { $0 == id }) >= Limits.quorum { known = id }
  }

  /// Three servers have agreed on something in this one.
  public mutating func agreed(_ id: RandomID<Kind>) { known = known ?? id }

  /// What the servers that are used are of; nil as long as none has said so, and if they differ.
  public var trusted: RandomID<Kind>? {
    if let known { return known }
    let said = Set(claims.values)
    return said.count == 1 ? said.first : nil
  }

  /// The servers that say something else; if none can be trusted, all that say something.
  public var foreign: ServerSet {
    ServerSet(claims.filter { $0.value != trusted }.map(\.key))
  }

  /// The servers that say what is trusted; none as long as nothing is.
  public var members: ServerSet {
    ServerSet(claims.filter { $0.value == trusted }.map(\.key))
  }
}

/// The clusters that servers say they are of, and which identity those get that have none.
public struct ClusterMembership: Sendable {
  /// The clusters that servers say they are of.
  public private(set) var membership = Membership<ClusterKind>()
  /// The servers' own identities.
  private var servers: [ServerIndex: String] = [:]

  /// Nothing was heard of any server.
  public init() {}

  /// A server's greeting.
  public mutating func heard(_ id: ClusterID?, from server: ServerIndex, identity: String) {
    membership.heard(id, from: server)
    servers[server] = identity
  }

  /// A server was given an identity.
  public mutating func joined(_ id: ClusterID, _ server: ServerIndex) {
    membership.heard(id, from: server)
  }

  /// What four servers get that have none; nil until all four were heard of.
  private var made: ClusterID? {
    ClusterID.of(servers: ServerIndex.all.compactMap { servers[$0] })
  }

  /// The identity that servers without one are to be given now.
  /// - Parameter together: the servers that share one namespace at this moment.
  /// - Returns: nil if there is none to be given.
  public func adoption(together: ServerSet) -> (ClusterID, ServerSet)? {
    let lacking = membership.blank.intersection(together)
    guard !lacking.isEmpty, let id = adoptable(together) else { return nil }
    return (id, lacking)
  }

  private func adoptable(_ together: ServerSet) -> ClusterID? {
    guard let trusted = membership.trusted else {
      return membership.claims.isEmpty && together == .all ? made : nil
    }
    return mayJoin(trusted) ? trusted : nil
  }

  /// Whether a server without an identity may be of `id`: enough others are, or all four would make it.
  private func mayJoin(_ id: ClusterID) -> Bool {
    let members = membership.members.count
    let areAllHeard = members + membership.blank.count == Limits.serverCount
    return members >= Limits.quorum || id == made
      || areAllHeard && members > Limits.serverCount - Limits.quorum
  }

  /// The servers that may not be used: those of another cluster, and one that has a cluster where the three
  /// others have none (a directory of another cluster among new ones).
  public var foreign: ServerSet {
    let alone = membership.members
    if let trusted = membership.trusted, membership.known == nil, alone.count == 1,
      membership.blank.count == Limits.quorum, !mayJoin(trusted)
    {
      return alone
    }
    return membership.foreign
  }
}
