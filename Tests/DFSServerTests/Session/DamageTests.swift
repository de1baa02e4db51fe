import DFSCore
import DFSServer
import DFSTestSupport
import DFSWire
import Foundation
import Testing

/// A user whose database is damaged: to that user's clients the server is down, to others it is not.
@Suite struct DamageTests {
  /// Flips a bit of each page of the database but the first, which holds its tables' names.
  private func damage(_ directory: String) throws {
    let path = directory + "/DFS1/Alice/namespace.sqlite"
    var bytes = try Data(contentsOf: URL(fileURLWithPath: path))
    for place in stride(from: 4096 + 3, to: bytes.count, by: 4096) { bytes[place] ^= 0x10 }
    let file = try FileHandle(forWritingTo: URL(fileURLWithPath: path))
    try file.write(contentsOf: bytes)
    try file.close()
  }

  private func fill(_ directory: String) async throws {
    let server = try await TestServer.start(in: directory)
    let alice = try await TestClient.loggedIn(port: server.port)
    let view = try await alice.takeView()
    for number in 1...20 as ClosedRange<UInt64> {
      _ = try await alice.append(view, number: number, inode: 1000 + number)
    }
    await server.server.stop()
  }

  private func expectRefusal(_ client: TestClient, _ directory: String) {
    #expect(client.refusal?.code == .damaged)
    let message = client.refusal?.message ?? ""
    #expect(message.contains("/DFS1/Alice/namespace.sqlite"), "\(message)")
    #expect(message.contains("dfs repair"), "\(message)")
  }

  @Test func whatIsFoundWhileRunningEndsTheUsersConnections() async throws {
    let directory = TestServer.temporaryDirectory()
    try "Alice secret\nBob other\n".write(
      toFile: directory + "/dfs.conf", atomically: true, encoding: .utf8)
    try await fill(directory)
    let server = try await TestServer.start(in: directory)
    let (asks, pings) = (
      try await TestClient.loggedIn(port: server.port),
      try await TestClient.loggedIn(port: server.port)
    )
    let bob = try await TestClient.loggedIn(port: server.port, user: "Bob", password: "other")
    try damage(directory)
    asks.send(Request.Query([.everything(after: nil)]))
    try await eventually("the connection is closed") { asks.isClosed }
    expectRefusal(asks, directory)
    pings.send(Request.Ping())
    try await eventually("the connection is closed") { pings.isClosed }
    expectRefusal(pings, directory)
    // A new connection is told at its login.
    let later = await #expect(throws: DFSError.self) {
      _ = try await TestClient.loggedIn(port: server.port)
    }
    #expect(later?.code == .damaged)
    try await bob.ask(Request.Ping())
    _ = try await bob.takeView()
    #expect(server.log.lines.count { $0.hasPrefix("critical") } == 1)
    try await server.remove()
  }

  @Test func whatIsFoundAtTheStartIsLoggedAndRefused() async throws {
    let directory = TestServer.temporaryDirectory()
    try "Alice secret\nBob other\n".write(
      toFile: directory + "/dfs.conf", atomically: true, encoding: .utf8)
    try await fill(directory)
    try damage(directory)
    let server = try await TestServer.start(in: directory)
    // Before anybody asks.
    try await eventually("it is logged") {
      server.log.lines.contains { $0.hasPrefix("critical this user is not served any more") }
    }
    let error = await #expect(throws: DFSError.self) {
      _ = try await TestClient.loggedIn(port: server.port)
    }
    #expect(error?.code == .damaged)
    let bob = try await TestClient.loggedIn(port: server.port, user: "Bob", password: "other")
    try await bob.ask(Request.Ping())
    try await server.remove()
  }
}
