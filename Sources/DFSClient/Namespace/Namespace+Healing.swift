package import DFSCore
internal import DFSReplication
internal import DFSSystem
internal import DFSWire

/// What healing asks of the namespace.
extension Namespace {
  /// The heads of the servers that answer.
  func heads() async -> [ServerIndex: Head] {
    await withTaskGroup(of: (ServerIndex, Head?).self) { group in
      for server in servers.reachable.servers {
        group.addTask { [servers] in (server, try? await servers.ping(server)) }
      }
      return await group.reduce(into: [:]) { $0[$1.0] = $1.1 }
    }
  }

  /// Takes a view if a server lags behind the others and nobody brings it along, then waits until it
  /// has caught up with them. A server whose disk refuses is not waited for.
  /// - Returns: the servers that lag even so.
  package func catchUp(within patience: Duration) async throws -> ServerSet {
    let before = await heads()
    if Self.lagging(before).isEmpty { return [] }
    try await environment.sleep(for: Self.lagPatience)
    let lagging = Self.lagging(await heads()).intersection(Self.lagging(before))
    if lagging.isEmpty { return [] }
    if !driver.stance.isSound { try await agree(until: deadline) }
    await driver.catchUpIsOver(within: patience, refusingToo: false)
    let left = Self.lagging(await heads())
    if left.intersection(lagging).isEmpty { return left }
    // This client led and did not know that it lags.
    try await agree(until: deadline)
    await driver.catchUpIsOver(within: patience, refusingToo: false)
    return Self.lagging(await heads())
  }

  /// A server that is behind for so long is caught up by nobody else.
  private static let lagPatience = Duration.seconds(1)

  /// The servers that are not at the greatest head.
  static func lagging(_ heads: [ServerIndex: Head]) -> ServerSet {
    guard let greatest = heads.values.max(by: <) else { return [] }
    return ServerSet(heads.filter { $0.value != greatest }.map(\.key))
  }

  /// Inodes of whose content some copies are not where the rule puts them, a page of them.
  func substitutes(after id: InodeID?) async throws -> (inodes: [Inode], isPartial: Bool) {
    let page = try await read([.substitutes(after: id)])
    let inodes = page.findings.compactMap { finding -> Inode? in
      if case .inode(_, let inode) = finding { inode } else { nil }
    }
    return (inodes, page.isPartial)
  }
}
