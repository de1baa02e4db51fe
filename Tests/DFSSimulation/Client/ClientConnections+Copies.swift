internal import DFSClient
internal import DFSCore
internal import DFSSystem
internal import DFSWire
internal import NIOCore

/// The connections that copies are sent and fetched on, one to each server.
extension ClientConnections {
  func load(of server: ServerIndex) -> Int { 0 }

  func blocking<Value: Sendable>(
    _ body: @escaping @Sendable () throws -> Value
  ) async throws -> Value { try body() }

  func sender(to server: ServerIndex, stream: UInt64) async throws(DFSError) -> any CopySender {
    SimulatedSender(connections: self, connection: try await copyConnection(to: server))
  }

  func getPart(
    _ request: Request.GetPart, from server: ServerIndex, timeout: Duration
  ) async throws(DFSError) -> (extent: PartExtent, body: ByteBuffer?) {
    let connection = try await copyConnection(to: server)
    let call = SimulatedCall(loop)
    self.call(connection, request.request, timeout: timeout) { call.end($0) }
    let (reply, body) = try await call.answer().get()
    return (try Request.GetPart.answer(in: reply, by: server), body)
  }

  /// It is made when it is needed.
  private func copyConnection(to server: ServerIndex) async throws(DFSError) -> Connection {
    if let open = copyConnections[server.value] { return open }
    guard !hasEnded, reachable.contains(server) else { throw notConnected(server) }
    let link = World.Link(slot: slot, server: server.value)
    try? await environment.sleep(for: .microseconds(world.delay(link)))
    if let open = copyConnections[server.value] { return open }
    let target = world.target(link)
    guard !hasEnded, reachable.contains(server), !world.isCut(link), target.isAnswering else {
      throw notConnected(server)
    }
    let session = target.open(client, slot: slot)
    let connection = Connection(server, to: target, session: session, now: world.now)
    copyConnections[server.value] = connection
    return connection
  }
}

/// A connection that copies are sent on.
///
/// `@unchecked Sendable`: as `SimulatedLoop`.
private struct SimulatedSender: CopySender, @unchecked Sendable {
  let connections: ClientConnections
  let connection: ClientConnections.Connection

  // How long servers keep what was sent is a setting of the world.
  func retain() {}
  func release() {}

  func put(_ piece: Request.PutPart, body: ByteBuffer, timeout: Duration) -> Stored {
    let call = SimulatedCall(connections.loop)
    connections.call(connection, piece.request, body, timeout: timeout) { call.end($0) }
    let server = connection.server
    return {
      do throws(DFSError) {
        _ = try Request.PutPart.answer(in: try await call.answer().get().reply, by: server)
        return .success(())
      } catch {
        return .failure(error)
      }
    }
  }
}

/// A message under way that somebody waits for, or not any more.
private struct SimulatedCall: Sendable {
  private let promise: EventLoopPromise<Result<ClientConnections.Answered, DFSError>>

  init(_ loop: any EventLoop) { promise = loop.makePromise() }

  func end(_ result: Result<ClientConnections.Answered, DFSError>) { promise.succeed(result) }

  func answer() async -> Result<ClientConnections.Answered, DFSError> {
    let result = try? await withTaskCancellationHandler {
      try await promise.futureResult.get()
    } onCancel: {
      promise.succeed(.failure(DFSError(.cancelled, "the call was cancelled")))
    }
    return result ?? .failure(DFSError(.disconnected, "the world has ended"))
  }
}
