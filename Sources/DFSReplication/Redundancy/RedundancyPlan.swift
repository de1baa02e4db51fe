public import DFSCore

/// What is left to do for a content once the change that names it is committed: pure values.
/// DFSClient's publish performs them.
///
/// Small copies travel with the change. One that was taken up from one server's log, because its view
/// was lost, comes to the others without them; the publisher still has them all.
public struct RedundancyPlan: Sendable {
  /// Copies that have to be stored on servers that can be reached.
  public let copies: [(part: PartIndex, server: ServerIndex)]
  /// Who substitutes for a holder that was lost.
  public let substitute: Substitute?

  /// - Parameters:
  ///   - stored: the servers that have said that they stored their copies.
  ///   - reachable: the servers that answer.
  public init(_ placement: Placement, stored: ServerSet, reachable: ServerSet) {
    let lacking = reachable.subtracting(stored)
    copies = lacking.servers.flatMap { server in
      placement.parts(on: server).map { ($0, server) }
    }
    substitute = Substitute(for: ServerSet.all.subtracting(reachable), in: placement)
  }

  /// Whether each part has at least one copy: without that nothing may be acknowledged.
  public static func isWhole(_ placement: Placement, stored: ServerSet) -> Bool {
    placement.missingParts(on: stored).isEmpty
  }
}
