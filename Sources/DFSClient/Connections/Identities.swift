package import DFSConfiguration
package import DFSCore
internal import DFSReplication
internal import DFSWire
internal import Synchronization

/// Whose servers these are: what each says of its cluster and of the user's namespace, and which of them
/// are therefore not used (`Membership` decides). A client remembers both as long as it lives.
package final class Identities: Sendable {
  private struct State {
    var cluster = ClusterMembership()
    var namespace = Membership<NamespaceKind>()

    var foreign: ServerSet { cluster.foreign.union(namespace.foreign) }
  }

  private let addresses: [ServerAddress]
  private let clusterName: String
  private let user: UserName
  private let state = Mutex(State())
  /// `State.foreign`, to be looked at before every message.
  private let foreignBits = Atomic<UInt8>(0)

  package init(_ configuration: ClientConfiguration, user: UserName) {
    addresses = configuration.servers
    clusterName = configuration.cluster
    self.user = user
  }

  // MARK: What servers say

  /// A server has logged the user in.
  func greeted(by server: ServerIndex, _ greeting: Reply.Greeting, _ namespace: NamespaceID?) {
    change {
      $0.cluster.heard(greeting.clusterID, from: server, identity: greeting.identity)
      $0.namespace.heard(namespace, from: server)
    }
  }

  /// A server has told a head of this namespace. Every answer tells one, so what is known costs little.
  package func heard(_ namespace: NamespaceID?, of server: ServerIndex) {
    guard state.withLock({ $0.namespace.claims[server] != namespace }) else { return }
    change { $0.namespace.heard(namespace, from: server) }
  }

  /// Three servers have agreed on something in this namespace.
  package func agreed(_ namespace: NamespaceID?) {
    guard let namespace else { return }
    change { $0.namespace.agreed(namespace) }
  }

  /// A server has become one of the cluster.
  func joined(_ cluster: ClusterID, _ server: ServerIndex) {
    change { $0.cluster.joined(cluster, server) }
  }

  private func change(_ body: (inout State) -> Void) {
    state.withLock { state in
      body(&state)
      foreignBits.store(state.foreign.rawValue, ordering: .releasing)
    }
  }

  // MARK: What follows

  /// The servers that are not used.
  package var foreign: ServerSet { ServerSet(rawValue: foreignBits.load(ordering: .acquiring)) }

  /// The cluster that this client has worked with.
  var knownCluster: ClusterID? { state.withLock { $0.cluster.membership.known } }

  package var namespace: NamespaceID? { state.withLock { $0.namespace.trusted } }

  /// The identity that servers without one are to be given, `together` being those that share one namespace.
  func adoption(together: ServerSet) -> (cluster: ClusterID, servers: ServerSet)? {
    state.withLock { $0.cluster.adoption(together: together) }
  }

  /// Why a server is not used; nil if it is.
  package func problem(of server: ServerIndex) -> DFSError? {
    guard foreign.contains(server) else { return nil }
    let state = state.withLock { $0 }
    return state.cluster.foreign.contains(server)
      ? clusterProblem(of: server, state.cluster) : namespaceProblem(of: server, state.namespace)
  }

  /// Why some server is not used; nil if all may be.
  var problem: DFSError? { foreign.servers.first.flatMap { problem(of: $0) } }

  private func name(_ server: ServerIndex) -> String {
    let address = addresses[server.value]
    return "\(address.name) at \(address.host):\(address.port)"
  }

  private func clusterProblem(of server: ServerIndex, _ cluster: ClusterMembership) -> DFSError {
    let claims = cluster.membership.claims
    let others =
      if let trusted = cluster.membership.trusted, trusted != claims[server] {
        "the others to \(trusted.brief)"
      } else if claims.count == 1 {
        "the others to none yet"
      } else {
        claims.filter { $0.key != server }.sorted { $0.key < $1.key }
          .map { "\(name($0.key)) to \($0.value.brief)" }.joined(separator: ", ")
      }
    let own = claims[server]?.brief ?? "none"
    return DFSError(
      .configuration,
      "\(name(server)) belongs to cluster \(own) (\"\(clusterName.printable)\"), \(others); correct the "
        + "Server line")
  }

  private func namespaceProblem(
    of server: ServerIndex, _ namespace: Membership<NamespaceKind>
  ) -> DFSError {
    let own = namespace.claims[server]?.brief ?? "none"
    let others =
      namespace.trusted.map { "the others have \($0.brief)" } ?? "the others do not agree"
    return DFSError(
      .configuration,
      "\(name(server)) has another namespace of \(user), \(own), while \(others): its directory is of "
        + "another cluster, or from before the account was made anew; stop that server, move the "
        + "directory of \(user) out of its directory and start it again: it is refilled")
  }
}
