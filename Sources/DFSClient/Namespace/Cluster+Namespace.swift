internal import DFSCore
internal import DFSSystem
internal import DFSWire
internal import NIOCore

/// The namespace uses the control connections only.
extension Cluster {
  func exchange(
    _ server: ServerIndex, _ request: Request, timeout: Duration
  ) async throws(DFSError) -> Reply {
    try await control(server).exchange(request, timeout: timeout)
  }

  var loop: any EventLoop { controlLoop }

  var environment: any Environment { SystemEnvironment() }

  var namespace: NamespaceID? { identities.namespace }

  func agreed(on namespace: NamespaceID?) { identities.agreed(namespace) }

  func heard(_ head: Head, of server: ServerIndex) throws(DFSError) {
    identities.heard(head.view.namespace, of: server)
    if let problem = identities.problem(of: server) { throw problem }
  }

  func exchange(
    _ server: ServerIndex, _ request: Request, timeout: Duration,
    _ answer: @escaping @Sendable (Result<Reply, DFSError>) -> Void
  ) {
    do throws(DFSError) {
      try control(server).exchange(request, timeout: timeout, answer)
    } catch {
      controlLoop.execute { answer(.failure(error)) }
    }
  }
}
