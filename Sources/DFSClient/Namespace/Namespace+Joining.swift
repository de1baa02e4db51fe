internal import DFSCore
internal import DFSReplication
internal import DFSWire

/// Giving servers the identity of their cluster.
extension Namespace {
  private static let joinPatience = Duration.milliseconds(500)

  /// Gives servers that have no identity of a cluster that of the others, or all four their first one, if
  /// they share this namespace now: so nothing is given to a server by a slip.
  func joinCluster(_ identities: Identities) async {
    guard identities.adoption(together: .all) != nil else { return }
    await driver.catchUpIsOver(within: Self.joinPatience)
    guard let adoption = identities.adoption(together: await driver.current) else { return }
    for server in adoption.servers.servers {
      // Who cannot be told now is told with the next view.
      let join = Request.Join(adoption.cluster)
      if (try? await servers.ask(server, join, timeout: ServerPool.pingTimeout)) != nil {
        identities.joined(adoption.cluster, server)
      }
    }
  }
}
