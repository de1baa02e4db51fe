import DFSCore
import DFSServer
import Foundation
import Logging
import Synchronization

/// A real server over a directory of its own, in this process.
struct TestServer {
  let server: Server
  let directory: String
  let log: LogLines

  var port: Int { server.port }
  var usersFile: String { directory + "/dfs.conf" }

  static func start(
    users: String = "Alice secret\nBob other\n",
    _ change: (inout ServerOptions) -> Void = { _ in }
  ) async throws -> TestServer {
    let directory = temporaryDirectory()
    try users.write(toFile: directory + "/dfs.conf", atomically: true, encoding: .utf8)
    return try await start(in: directory, change)
  }

  static func start(
    in directory: String, _ change: (inout ServerOptions) -> Void = { _ in }
  ) async throws -> TestServer {
    var options = ServerOptions(directory: directory + "/DFS1", port: 0)
    change(&options)
    let log = LogLines()
    let server = try await Server.start(options, logger: log.logger)
    return TestServer(server: server, directory: directory, log: log)
  }

  /// Stops it and removes its directory.
  func remove() async throws {
    await server.stop()
    try FileManager.default.removeItem(atPath: directory)
  }

  static func temporaryDirectory() -> String {
    let path = NSTemporaryDirectory() + "dfs-server-" + UUID().uuidString
    try? FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    return path
  }
}

/// Runs a test with a server that is removed afterwards, however the test ends.
func withServer(
  users: String = "Alice secret\nBob other\n",
  _ change: (inout ServerOptions) -> Void = { _ in },
  _ body: (TestServer) async throws -> Void
) async throws {
  let server = try await TestServer.start(users: users, change)
  do {
    try await body(server)
  } catch {
    try await server.remove()
    throw error
  }
  try await server.remove()
}

/// What a server has logged.
final class LogLines: Sendable {
  private let state = Mutex<[String]>([])

  var lines: [String] { state.withLock { $0 } }
  var logger: Logger { Logger(label: "test") { _ in Handler(lines: self) } }

  private struct Handler: LogHandler {
    let lines: LogLines
    var logLevel = Logger.Level.debug
    var metadata: Logger.Metadata = [:]
    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
      get { metadata[key] }
      set { metadata[key] = newValue }
    }
    func log(event: LogEvent) {
      let details = metadata.merging(event.metadata ?? [:]) { $1 }
        .sorted { $0.key < $1.key }.map { " \($0.key)=\($0.value)" }.joined()
      lines.state.withLock { $0.append("\(event.level) \(event.message)\(details) ") }
    }
  }
}
