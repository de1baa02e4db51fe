import DFSCore
import DFSReplication
import DFSSystem
import DFSWire
import NIOCore
import NIOPosix

@testable import DFSClient

/// Servers in memory: they have no event loop, are of one namespace, and refuse no login.
extension ServerRequests {
  var loop: any EventLoop { MultiThreadedEventLoopGroup.singleton.any() }
  var environment: any Environment { SystemEnvironment() }
  var namespace: NamespaceID? { nil }
  func reconnect() async {}
  func retryRefused() async {}
  func agreed(on namespace: NamespaceID?) {}
  func heard(_ head: Head, of server: ServerIndex) throws(DFSError) {}

  func exchange(
    _ server: ServerIndex, _ request: Request, timeout: Duration,
    _ answer: @escaping @Sendable (Result<Reply, DFSError>) -> Void
  ) {
    Task {
      do throws(DFSError) {
        answer(.success(try await exchange(server, request, timeout: timeout)))
      } catch {
        answer(.failure(error))
      }
    }
  }
}
