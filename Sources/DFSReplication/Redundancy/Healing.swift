public import DFSCore

/// What a healer does about one content: pure values; DFSClient's Healer performs them.
public enum Healing {
  /// A step that can be done alone; another healer may do the same at the same time.
  public enum Step: Hashable, Sendable {
    /// Copy a part to a server that lacks it.
    case bring(PartIndex, to: ServerIndex)
    /// Note in the inode's row that the copies are where the rule puts them. Only once they are
    /// there, verified and on stable storage: the row lets the copies that substituted go.
    case record(Placement)
    /// Nothing can be done while these servers are away.
    case wait(ServerSet)
  }

  /// Sends home what other servers hold in the place of one that was away.
  /// - Parameters:
  ///   - content: what the inode's row says.
  ///   - held: for each part the servers that are known to have a good copy of it.
  ///   - reachable: the servers that answer.
  public static func steps(
    home content: RowContent, held: Placement, reachable: ServerSet
  ) -> [Step] {
    guard content.placement != content.home else { return [] }
    let missing = content.home.copies(missingIn: held)
    let away = ServerSet(missing.map(\.server)).subtracting(reachable)
    guard away.isEmpty else { return [.wait(away)] }
    if missing.isEmpty { return [.record(content.home)] }
    return missing.map { .bring($0.part, to: $0.server) }
  }
}
