internal import DFSCore
internal import DFSWire

/// The namespace uses the control connections only.
extension Cluster: ServerRequests {
  func ask(
    _ server: ServerIndex, _ request: Request, timeout: Duration
  ) async throws(DFSError) -> Reply {
    try await self.request(server, request, lane: .control, timeout: timeout).0
  }
}
