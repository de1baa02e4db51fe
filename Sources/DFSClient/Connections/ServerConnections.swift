package import DFSCore
package import DFSWire
package import Logging
package import NIOCore

/// What happens on the connection that a server's questions go through, in its order.
package enum ConnectionEvent: Sendable {
  case push(Push)
  /// A new connection; what was known from an earlier one may be old.
  case connected
  case disconnected
}

/// The four servers, as a client has them: who can be reached, questions to each, and connections that
/// carry the bytes of copies. `Cluster` has them over TCP.
package protocol ServerConnections: ServerRequests {
  typealias Observer = @Sendable (ServerIndex, ConnectionEvent) -> Void

  var logger: Logger { get }
  /// Whose the servers are; those of others are not used.
  var identities: Identities { get }

  /// `f` is called on the event loop, in the order of the connection, before any later answer of
  /// that server is delivered; it must be quick. To be called before `start`.
  func observe(_ f: @escaping Observer)
  /// Begins to connect, and to connect again for ever.
  func start() async
  /// Waits until each server is up or has failed once, at the longest for `timeout`.
  func untilTried(timeout: Duration) async
  /// Tries servers that are away again now, and waits for those that are being connected to.
  func reconnect(within patience: Duration) async
  /// Disconnects; what is under way fails with `cancelled`.
  func shutdown() async

  /// Bytes asked of a server's connections for copies and not answered.
  func load(of server: ServerIndex) -> Int
  /// Asks one server for blocks of a copy.
  /// - Throws: what the server refused with; `disconnected` if it is not reachable or was lost
  ///   before it answered; `timedOut`; `cancelled` if the task was.
  func getPart(
    _ request: Request.GetPart, from server: ServerIndex, timeout: Duration
  ) async throws(DFSError) -> (extent: PartExtent, body: ByteBuffer?)
  /// A connection to send copies on.
  /// - Parameter stream: the same connection for the same number: pieces of one part must arrive in order.
  func sender(to server: ServerIndex, stream: UInt64) async throws(DFSError) -> any CopySender
  /// Runs what blocks on a thread for that.
  func blocking<Value: Sendable>(_ body: @escaping @Sendable () throws -> Value) async throws
    -> Value
}

/// A connection that copies are sent on, piece by piece.
package protocol CopySender: Sendable {
  /// What a server answered to a piece.
  typealias Stored = @Sendable () async -> Result<Void, DFSError>

  /// It is not closed as idle until `release`: a server may forget what a connection that ended has
  /// sent it.
  func retain()
  func release()
  /// Sends a piece; those that one task sends are written in their order.
  /// - Returns: waits for the answer; a cancelled task stops waiting.
  func put(_ piece: Request.PutPart, body: ByteBuffer, timeout: Duration) -> Stored
}

extension Connection: CopySender {
  func put(_ piece: Request.PutPart, body: ByteBuffer, timeout: Duration) -> Stored {
    let submission = submit(piece, body: body, timeout: timeout)
    return {
      do throws(DFSError) {
        _ = try await submission.answer()
        return .success(())
      } catch {
        return .failure(error)
      }
    }
  }
}
