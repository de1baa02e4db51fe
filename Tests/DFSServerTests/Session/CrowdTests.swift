import DFSCore
import DFSTestSupport
import DFSWire
import Foundation
import Testing

/// Many users on one server, as a process of its own whose memory is measured.
@Suite struct CrowdTests {
  @Test func aThousandConnectionsOfAHundredUsersTakeAtMost64KiBEach() async throws {
    raiseDescriptorLimit()
    let directory = TestServer.temporaryDirectory()
    let salt = ScramVerifier.randomSalt()
    let verifier = try ScramVerifier(password: "secret", salt: salt).text
    let users = (0..<100).map { "user\($0)" }
    try users.map { "\($0) \(verifier)\n" }.joined().write(
      toFile: directory + "/dfs.conf", atomically: true, encoding: .utf8)
    let server = try await ServerProcess(directory + "/DFS1")
    let cache = ScramCache()
    // What the users themselves take (a database each) is not the connections'.
    var clients = try await logIn(users, times: 1, server.port, cache)
    let before = server.residentBytes
    clients += try await logIn(users, times: 9, server.port, cache)
    let each = (server.residentBytes - before) / (clients.count - users.count)
    print("idle connection: \(each) bytes; server with 1,000: \(server.residentBytes >> 20) MiB")
    #expect(each <= 64 << 10)

    let clock = ContinuousClock()
    let time = try await clock.measure {
      let ids = clients.map { $0.send(Request.Ping()) }
      for (client, id) in zip(clients, ids) {
        guard case .pong = try await client.answer(to: id).reply else {
          throw DFSError(.protocolViolation, "no pong")
        }
      }
    }
    #expect(time < .seconds(20))
    let idle = server.residentBytes
    for client in clients.prefix(300) {
      let part = PartID(version: .random(), part: PartIndex(0))
      try await client.put(part, [UInt8](repeating: 7, count: 256 << 10), durable: false)
      try await client.ask(Request.GetPart(part, range: 0..<256 << 10))
    }
    let kept = (server.residentBytes - idle) / 300
    print("after a part put and read: \(kept) bytes more for a connection")
    // 59 to 72 KB: a receive buffer, and pages that the allocator does not give back.
    #expect(each + kept <= 96 << 10)
    #expect(try await server.end(SIGTERM) == 0)
    try FileManager.default.removeItem(atPath: directory)
  }

  private func logIn(
    _ users: [String], times: Int, _ port: Int, _ cache: ScramCache
  ) async throws -> [TestClient] {
    var clients: [TestClient] = []
    for _ in 0..<times {
      for start in stride(from: 0, to: users.count, by: 20) {
        clients += try await withThrowingTaskGroup(of: TestClient.self) { group in
          for user in users[start..<start + 20] {
            group.addTask {
              try await TestClient.loggedIn(
                port: port, user: user, wantsPushes: true, cache: cache)
            }
          }
          return try await group.reduce(into: []) { $0.append($1) }
        }
      }
    }
    return clients
  }

  private func raiseDescriptorLimit() {
    var limit = rlimit()
    guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { return }
    limit.rlim_cur = limit.rlim_max
    _ = setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
  }
}
