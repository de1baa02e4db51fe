import DFSCore
import DFSTestSupport
import DFSWire
import Foundation
import NIOCore
import Testing

@testable import DFSServer

@Suite struct LoginTests {
  private static let refused = DFSError(.loginFailed, "wrong user name or password")

  @Test func bothSidesProveThemselves() async throws {
    try await withServer { server in
      let alice = try await TestClient.loggedIn(port: server.port)
      #expect(try await alice.ask(Request.Ping()).head == .blank)
      try await TestClient.loggedIn(port: server.port, user: "Bob", password: "other").close()
    }
  }

  @Test func aWrongPasswordAndAnUnknownUserGetTheSameAnswer() async throws {
    try await withServer { server in
      for (user, password) in [
        ("Alice", "wrong"), ("Nobody", "secret"), ("../etc", "secret"), ("alice", "secret"),
      ] {
        let client = try await TestClient.connect(port: server.port)
        try await client.hello()
        let error = await #expect(throws: DFSError.self) { try await client.logIn(user, password) }
        #expect(error == Self.refused, "\(user)")
        try await eventually("the connection ends") { client.isClosed }
      }
    }
  }

  @Test func anUnknownUserHasTheSameSaltEachTimeAndOnEveryServer() async throws {
    let users = "# secret: \(String(repeating: "ab", count: 32))\nAlice secret\n"
    try await withServer(users: users) { one in
      try await withServer(users: users) { two in
        var salts: Set<String> = []
        for port in [one.port, one.port, two.port] {
          let client = try await TestClient.connect(port: port)
          try await client.hello()
          let answer = try await client.ask(Request.LoginBegin(scram: "n,,n=Nobody,r=abc"))
          salts.insert(answer.scram.split(separator: ",").dropFirst().joined(separator: ","))
        }
        #expect(salts.count == 1)
        #expect(salts.first?.hasSuffix("i=\(ScramVerifier.defaultIterations)") == true)
      }
    }
  }

  @Test func failuresAreSlowedAndSuccessesAreNot() async throws {
    try await withServer { server in
      let clock = ContinuousClock()
      let slow = try await clock.measure {
        for _ in 0..<4 {
          let client = try await TestClient.connect(port: server.port)
          try await client.hello()
          await #expect(throws: DFSError.self) { try await client.logIn("Alice", "wrong") }
        }
      }
      #expect(slow > .milliseconds(50 + 100 + 200 + 400))
      try await TestClient.loggedIn(port: server.port).close()
    }
  }

  @Test(arguments: [
    (UInt32(1), "default", "DFS1", "this server speaks version 2 of the wire, the client 1"),
    (3, "default", "DFS1", "this server speaks version 2 of the wire, the client 3"),
    (2, "other", "DFS1", "this is DFS1 of cluster 'default', not DFS1 of 'other'"),
    (2, "default", "DFS2", "this is DFS1 of cluster 'default', not DFS2"),
  ])
  func anotherVersionClusterOrServerIsRefused(
    version: UInt32, cluster: String, name: String, refusal: String
  ) async throws {
    try await withServer { server in
      let client = try await TestClient.connect(port: server.port)
      let error = await #expect(throws: DFSError.self) {
        try await client.hello(server: name, cluster: cluster, version: version)
      }
      #expect(error?.message.contains(refusal) == true, "\(String(describing: error))")
      try await eventually("the connection ends") { client.isClosed }
    }
  }

  /// A server joins one cluster; clients of others are refused at the greeting, and cannot have it join.
  @Test func aServerIsOfOneCluster() async throws {
    try await withServer { server in
      let cluster = ClusterID.random()
      let alice = try await TestClient.loggedIn(port: server.port)
      try await alice.ask(Request.Join(cluster))
      try await alice.ask(Request.Join(cluster))
      let refusal = await #expect(throws: DFSError.self) {
        try await alice.ask(Request.Join(.random()))
      }
      #expect(refusal?.code == .configuration)
      for other in [cluster, .random()] {
        let client = try await TestClient.connect(port: server.port)
        let hello = Request.Hello(
          version: Wire.version, cluster: "default", server: "DFS1", client: .random(),
          wantsPushes: false, clusterID: other)
        guard other != cluster else {
          #expect(try await client.ask(hello).clusterID == cluster)
          continue
        }
        let error = await #expect(throws: DFSError.self) { try await client.ask(hello) }
        #expect(error?.message.contains("belongs to cluster \(cluster.brief)") == true)
        try await eventually("the connection ends") { client.isClosed }
      }
    }
  }

  @Test func nothingIsAnsweredBeforeLogin() async throws {
    try await withServer { server in
      let requests: [any RequestMessage] = [
        Request.Ping(), Request.Query([.inode(.root)]), Request.LoginBegin(scram: "n,,n=a,r=b"),
      ]
      for request in requests {
        let client = try await TestClient.connect(port: server.port)
        let error = await #expect(throws: DFSError.self) { _ = try await client.ask(request) }
        #expect(error?.message == "say hello, then log in, then ask")
        try await eventually("the connection ends") { client.isClosed }
      }
    }
  }

  @Test func aFrameOver4KiBBeforeLoginIsRefusedAndOneAfterIsNot() async throws {
    try await withServer { server in
      let stranger = try await TestClient.connect(port: server.port)
      stranger.send(Request.LoginBegin(scram: String(repeating: "a", count: 5000)))
      try await eventually("the connection ends") { stranger.isClosed }
      #expect(stranger.refusal?.message.contains("the limit before login is 4096") == true)
      let alice = try await TestClient.loggedIn(port: server.port)
      let many = Array(repeating: Query.inode(.root), count: 500)
      try await alice.ask(Request.Query(many))
    }
  }

  @Test func aConnectionHasAWhileToLogIn() async throws {
    #expect(ServerOptions(directory: "DFS1", port: 0).loginSeconds == 10)
    try await withServer({ $0.loginSeconds = 1 }) { server in
      let client = try await TestClient.connect(port: server.port)
      try await client.hello()
      let clock = ContinuousClock()
      let waited = try await clock.measure {
        try await eventually("the connection ends", within: .seconds(20)) { client.isClosed }
      }
      #expect(waited > .milliseconds(500))
      #expect(client.refusal == DFSError(.timedOut, "no login within 1 s"))
    }
  }

  @Test func theUsersFileIsReadAgainWhenItChanges() async throws {
    try await withServer { server in
      try "broken\nAlice new\nCarol \t pass word\r\nAlice twice\n".write(
        toFile: server.usersFile, atomically: true, encoding: .utf8)
      try await TestClient.loggedIn(port: server.port, password: "new").close()
      try await TestClient.loggedIn(port: server.port, user: "Carol", password: "pass word").close()
      let bob = try await TestClient.connect(port: server.port)
      try await bob.hello()
      await #expect(throws: Self.refused) { try await bob.logIn("Bob", "other") }
      let log = server.log.lines
      #expect(log.contains { $0.hasPrefix("error") && $0.contains("line 1: a name without") })
      #expect(log.contains { $0.hasPrefix("error") && $0.contains("line 4: 'Alice' was on an") })
      #expect(log.contains { $0.hasPrefix("warning") && $0.contains("dfs user convert --users") })
    }
  }

  @Test func whoIsLoggedInDoesNotLogInAgain() async throws {
    try await withServer { server in
      let alice = try await TestClient.loggedIn(port: server.port)
      await #expect(throws: DFSError.self) {
        try await alice.ask(Request.LoginBegin(scram: "n,,n=Bob,r=b"))
      }
      try await alice.ask(Request.Ping())
    }
  }
}
