import DFSConfiguration
import DFSCore
import DFSTestSupport
import DFSWire
import Logging
import Synchronization
import Testing

@testable import DFSClient

/// Links to real servers: login, events, pushes, coming back.
@Suite(.serialized, .timeLimit(.minutes(3))) struct ClusterTests {
  private func cluster(
    _ servers: FourServers, password: String = FourServers.password,
    _ change: (inout ClientConfiguration) -> Void = { _ in }
  ) throws -> Cluster {
    var configuration = servers.configuration
    change(&configuration)
    let credentials = Credentials(user: try UserName(FourServers.user), password: password)
    var logger = Logger(label: "test")
    logger.logLevel = .critical
    return Cluster(
      configuration: configuration, credentials: RenewableCredentials(credentials),
      client: .random(), logger: logger)
  }

  @Test func aWrongPasswordIsSaidOfEveryServer() async throws {
    let servers = try await FourServers()
    let cluster = try cluster(servers, password: "wrong")
    await cluster.start()
    await cluster.untilTried(timeout: .seconds(20))
    #expect(cluster.reachable.count == 0)
    for state in cluster.states() {
      #expect(state.problem?.code == .loginFailed)
      #expect(state.problem?.message == "Invalid Username/Password. Please try again.")
    }
    await cluster.shutdown()
    try await servers.remove()
  }

  @Test func exchangedServersAreNoticed() async throws {
    let servers = try await FourServers()
    let cluster = try cluster(servers) { configuration in
      let (one, two) = (configuration.servers[0], configuration.servers[1])
      configuration.servers[0] = ServerAddress(name: "DFS1", host: two.host, port: two.port)
      configuration.servers[1] = ServerAddress(name: "DFS2", host: one.host, port: one.port)
    }
    await cluster.start()
    await cluster.untilTried(timeout: .seconds(10))
    #expect(cluster.reachable == ServerSet([ServerIndex(2), ServerIndex(3)]))
    let problem = try #require(cluster.states()[0].problem)
    #expect(problem.message.contains("DFS2") && problem.message.contains("DFS1"), "\(problem)")
    await cluster.shutdown()
    try await servers.remove()
  }

  @Test func anAbsentServerIsSaidSoonAndJoinsWhenItComes() async throws {
    let servers = try await FourServers()
    try await servers.kill(ServerIndex(1))
    let events = Mutex<[Bool]>([])
    let cluster = try cluster(servers)
    cluster.observe { server, event in
      guard server == ServerIndex(1) else { return }
      switch event {
      case .connected: events.withLock { $0.append(true) }
      case .disconnected: events.withLock { $0.append(false) }
      case .push: break
      }
    }
    await cluster.start()
    let clock = ContinuousClock()
    let begin = clock.now
    await cluster.untilTried(timeout: .seconds(10))
    #expect(clock.now - begin < .seconds(5))
    #expect(!cluster.reachable.contains(ServerIndex(1)))
    #expect(cluster.states()[1].problem?.message.contains("Connection refused") == true)
    try await servers.restart(ServerIndex(1))
    try await eventually("DFS2 joins") { cluster.reachable == .all }
    try await servers.stop(ServerIndex(1))
    try await eventually("DFS2 leaves") { !cluster.reachable.contains(ServerIndex(1)) }
    try await eventually("its end is told") { events.withLock { $0 } == [true, false] }
    await cluster.shutdown()
    try await servers.remove()
  }

  @Test func whatWaitsFailsAtOnceWhenTheServerIsKilled() async throws {
    let servers = try await FourServers()
    let cluster = try cluster(servers)
    await cluster.start()
    await cluster.untilTried(timeout: .seconds(10))
    servers.freeze(ServerIndex(0))
    let waiting = Task {
      try await cluster.ask(ServerIndex(0), Request.Space(), timeout: .seconds(30))
    }
    let clock = ContinuousClock()
    let begin = clock.now
    try await servers.kill(ServerIndex(0))
    await #expect(throws: DFSError.self) { try await waiting.value }
    #expect(clock.now - begin < .seconds(2))
    await cluster.shutdown()
    try await servers.remove()
  }

  @Test func aCancelledQuestionEndsAtOnce() async throws {
    let servers = try await FourServers()
    let cluster = try cluster(servers)
    await cluster.start()
    await cluster.untilTried(timeout: .seconds(10))
    servers.freeze(ServerIndex(0))
    let waiting = Task {
      try await cluster.ask(ServerIndex(0), Request.Space(), timeout: .seconds(30))
    }
    waiting.cancel()
    let clock = ContinuousClock()
    let begin = clock.now
    await #expect(throws: DFSError.self) { try await waiting.value }
    #expect(clock.now - begin < .seconds(1))
    servers.thaw(ServerIndex(0))
    await cluster.shutdown()
    try await servers.remove()
  }
}
