public import DFSCore

/// Whether the servers are there, and what they have: what both the files (`FileService`) and their
/// administration (`ClusterAdministration`) need to tell of them.
public protocol ClusterStatus: Sendable {
  /// Which namespace this is; nil as long as no server has one.
  var namespaceID: NamespaceID? { get }

  /// The servers that are up and logged in, and why the others are not.
  func serverStates() async -> [ServerState]

  /// Servers that are not up are tried again at once, and waited for, at the longest `patience`.
  func reconnect(within patience: Duration) async

  /// Which parts of each version are found on the servers that are up: for each version and part
  /// the servers that have it.
  func copies(_ versions: [VersionID]) async throws -> [VersionID: Placement]
}
