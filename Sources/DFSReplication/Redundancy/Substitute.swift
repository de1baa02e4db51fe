public import DFSCore

/// Who substitutes for a server that was lost while a content was stored: pure values. DFSClient's
/// upload and publish perform them.

/// The copies of one lost server, moved to the server opposite, so that each part still has two.
public struct Substitute: Hashable, Sendable {
  /// The server whose copies go to the opposite one.
  public let lost: ServerIndex
  /// Where the copies are once those of the substitute are stored.
  public let placement: Placement
  private let before: Placement

  /// Nil if no holder is missing, or more than one: then nobody can stand in.
  public init?(for missing: ServerSet, in placement: Placement) {
    let holders = ServerSet.all.subtracting(placement.absent)
    let lost = holders.intersection(missing).servers
    guard lost.count == 1 else { return nil }
    self.lost = lost[0]
    before = placement
    self.placement = placement.substituting(for: ServerSet(lost))
  }

  /// The copies that the substitute has to be given.
  public var copies: [(part: PartIndex, server: ServerIndex)] {
    placement.copies(missingIn: before)
  }
}

/// The servers that are lost while copies are stored: one may be, counting the one that was away
/// from the beginning.
public struct StoreLosses: Hashable, Sendable {
  private let before: ServerSet
  private var servers: ServerSet

  /// - Parameter absent: those that were away from the beginning.
  public init(absent: ServerSet) {
    before = absent
    servers = absent
  }

  /// Notes a loss.
  /// - Returns: whether the others can go on without it.
  public mutating func note(_ server: ServerIndex) -> Bool {
    servers.insert(server)
    return servers.count <= 1
  }

  /// The one that was lost, if one was.
  public var lost: ServerIndex? { servers.subtracting(before).servers.first }
}

extension Placement {
  /// The servers that hold nothing.
  public var absent: ServerSet {
    ServerSet { server in !PartIndex.all.contains { holders(of: $0).contains(server) } }
  }
}
