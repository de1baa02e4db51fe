import DFSCore
import DFSTestSupport
import DFSWire
import Foundation
import Testing

@testable import DFSServer

/// The audit trail: who did what, and nothing of what is in files.
@Suite struct AuditTests {
  private static func lines(_ server: TestServer, _ what: String) -> [String] {
    server.log.lines.filter { $0.hasPrefix("notice") && $0.contains("audit=\(what) ") }
  }

  @Test func loginsAndLogoutsAreLogged() async throws {
    try await withServer { server in
      let alice = try await TestClient.loggedIn(port: server.port)
      #expect(Self.lines(server, "login").count == 1)
      #expect(Self.lines(server, "login").first?.contains("user=Alice") == true)
      #expect(Self.lines(server, "login").first?.contains("encrypted=no") == true)
      try await alice.close()
      try await eventually("the logout is logged") { Self.lines(server, "logout").count == 1 }
      let bob = try await TestClient.connect(port: server.port, encryption: .always)
      try await bob.hello()
      try await bob.logIn("Bob", "other")
      #expect(Self.lines(server, "login").last?.contains("encrypted=yes") == true)
    }
  }

  @Test func failedLoginsAreLogged() async throws {
    try await withServer { server in
      let client = try await TestClient.connect(port: server.port)
      try await client.hello()
      await #expect(throws: DFSError.self) { try await client.logIn("Alice", "wrong") }
      let line = try #require(Self.lines(server, "login-failed").first)
      #expect(line.contains("user=Alice"))
      #expect(line.contains("peer=[IPv4]127.0.0.1"))
      #expect(Self.lines(server, "login").isEmpty)
    }
  }

  @Test func changedAccountsAreLogged() async throws {
    try await withServer { server in
      #expect(Self.lines(server, "account-added").isEmpty)
      try "Alice new\nCarol secret\n".write(
        toFile: server.usersFile, atomically: true, encoding: .utf8)
      try await TestClient.loggedIn(port: server.port, password: "new").close()
      #expect(Self.lines(server, "account-added").map { $0.contains("user=Carol") } == [true])
      #expect(Self.lines(server, "account-removed").map { $0.contains("user=Bob") } == [true])
      #expect(Self.lines(server, "password-changed").map { $0.contains("user=Alice") } == [true])
      #expect(!server.log.lines.contains { $0.contains("secret") || $0.contains("new ") })
    }
  }

  @Test func stateTransfersAreLogged() async throws {
    try await withServer { server in
      let alice = try await TestClient.loggedIn(port: server.port)
      let view = View(round: 5, client: ClientID(9), namespace: .random())
      let row = Row(key: .inode(InodeID(77)), change: 3, value: RowValue(bytes: [1]))
      try await alice.ask(Request.RefillBegin(view, own: nil))
      try await alice.ask(Request.RefillRows([row]))
      try await alice.ask(
        Request.RefillEnd(view, to: Head(view: view, number: 3, digest: RowDigest(of: row))))
      #expect(Self.lines(server, "transfer-begin").count == 1)
      #expect(Self.lines(server, "transfer-end").map { $0.contains("number=3") } == [true])
    }
  }

  /// As the program writes it.
  @Test func theProgramWritesJSON() async throws {
    let directory = TestServer.temporaryDirectory()
    try "Alice secret\n".write(
      toFile: directory + "/dfs.conf", atomically: true, encoding: .utf8)
    let server = try await ServerProcess(
      directory + "/DFS1", ["--log-format", "json", "--log-level", "notice"])
    try await TestClient.loggedIn(port: server.port).close()
    try await eventually("the logout is logged") { server.errors.contains("\"logout\"") }
    let line = try #require(server.errors.split(separator: "\n").first { $0.contains("\"login\"") })
    let object = try #require(
      try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any])
    #expect("\(object)".contains("Alice"))
    #expect(try await server.end(SIGTERM) == 0)
    try FileManager.default.removeItem(atPath: directory)
  }
}
