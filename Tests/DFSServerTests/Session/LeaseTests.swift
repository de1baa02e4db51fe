import DFSCore
import DFSReplication
import DFSServer
import DFSTestSupport
import DFSWire
import Foundation
import Testing

/// Read leases between a real server and its clients.
@Suite struct ServerLeaseTests {
  private static let granted = LeaseTerm.standard.granted

  private struct Setting {
    let holder: TestClient
    let writer: TestClient
    let view: View
  }

  private func setting(_ server: TestServer) async throws -> Setting {
    let holder = try await TestClient.loggedIn(port: server.port, wantsPushes: true)
    let writer = try await TestClient.loggedIn(port: server.port, wantsPushes: true)
    return Setting(holder: holder, writer: writer, view: try await writer.takeView())
  }

  /// Pushes that have come, of rows or not.
  private func pushes(of client: TestClient) -> UInt64 { UInt64(client.pushes.count) }

  @Test func aChangeIsShownWhenTheHolderHasSeenIt() async throws {
    try await withServer { server in
      let it = try await setting(server)
      let (holder, writer) = (it.holder, it.writer)
      let granted = try await holder.ask(Request.Lease(.asked, pushes: 0))
      let before = pushes(of: holder)
      let change = writer.send(writer.apply(it.view, number: 1, inode: 300))
      try await eventually("the push of the change") { self.pushes(of: holder) > before }
      // The holder has it, and nobody else: neither the author nor who reads.
      let reader = try await TestClient.loggedIn(port: server.port)
      let query = reader.send(Request.Query([.inode(InodeID(300))]))
      for _ in 0..<20 {
        #expect(try await reader.ask(Request.Ping()).head == granted.head)
      }
      #expect(!writer.hasAnswer(to: change) && !reader.hasAnswer(to: query))
      try await holder.ask(Request.Lease(.seen, pushes: pushes(of: holder)))
      _ = try await writer.answer(to: change)
      _ = try await reader.answer(to: query)
      // Its own changes are not waited for.
      _ = try await holder.ask(Request.Lease(.givenUp, pushes: 0))
      _ = try await writer.append(it.view, number: 2, inode: 301)
    }
  }

  @Test func aHolderThatIsSilentIsWaitedForOnce() async throws {
    try await withServer { server in
      let it = try await setting(server)
      try await it.holder.ask(Request.Lease(.asked, pushes: 0))
      let began = ContinuousClock.now
      _ = try await it.writer.append(it.view, number: 1, inode: 300)
      #expect(ContinuousClock.now - began > Self.granted - .milliseconds(500))
      // It keeps its lease: what it asks is answered after the push, and it is waited for again.
      try await it.holder.ask(Request.Ping())
      let before = pushes(of: it.holder)
      let change = it.writer.send(it.writer.apply(it.view, number: 2, inode: 301))
      try await eventually("the push") { self.pushes(of: it.holder) > before }
      #expect(!it.writer.hasAnswer(to: change))
      try await it.holder.ask(Request.Lease(.seen, pushes: pushes(of: it.holder)))
      _ = try await it.writer.answer(to: change)
    }
  }

  /// What it asks after the push proves nothing more.
  @Test func whoPingsAndDoesNotSayWhatItSawIsNotWaitedForLonger() async throws {
    try await withServer { server in
      let it = try await setting(server)
      try await it.holder.ask(Request.Lease(.asked, pushes: 0))
      let began = ContinuousClock.now
      let change = it.writer.send(it.writer.apply(it.view, number: 1, inode: 300))
      try await eventually("the change is shown", within: .seconds(20)) {
        it.holder.send(Request.Ping())
        return it.writer.hasAnswer(to: change)
      }
      #expect(ContinuousClock.now - began > Self.granted - .milliseconds(500))
      #expect(!it.holder.isClosed)
    }
  }

  @Test func moreThanWasPushedCannotHaveBeenSeen() async throws {
    try await withServer { server in
      let it = try await setting(server)
      let error = await #expect(throws: DFSError.self) {
        try await it.holder.ask(Request.Lease(.seen, pushes: 1_000))
      }
      #expect(error?.code == .protocolViolation || error?.code == .disconnected)
      let quiet = try await TestClient.loggedIn(port: server.port)
      let refusal = await #expect(throws: DFSError.self) {
        try await quiet.ask(Request.Lease(.asked, pushes: 0))
      }
      #expect(refusal?.code == .protocolViolation)
    }
  }

  @Test func anEndedConnectionKeepsItsLeaseForItsTime() async throws {
    try await withServer { server in
      let it = try await setting(server)
      try await it.holder.ask(Request.Lease(.asked, pushes: 0))
      try await it.holder.close()
      let began = ContinuousClock.now
      _ = try await it.writer.append(it.view, number: 1, inode: 300)
      #expect(ContinuousClock.now - began > Self.granted - .milliseconds(500))
    }
  }

  /// A server that starts again does not know what was read from the process before it.
  @Test func aServerThatStartsAgainWaitsForHolders() async throws {
    let server = try await TestServer.start()
    let it = try await setting(server)
    try await it.holder.ask(Request.Lease(.asked, pushes: 0))
    await server.server.stop()
    let began = ContinuousClock.now
    let again = try await TestServer.start(in: server.directory)
    _ = try await TestClient.loggedIn(port: again.port)
    #expect(ContinuousClock.now - began > Self.granted - .milliseconds(100))
    await again.server.stop()
    // That process granted none.
    let last = try await TestServer.start(in: server.directory)
    let beganLast = ContinuousClock.now
    _ = try await TestClient.loggedIn(port: last.port)
    #expect(ContinuousClock.now - beganLast < Self.granted - .milliseconds(100))
    try await last.remove()
  }

  @Test func holdersThatComeBackEndTheWait() async throws {
    let server = try await TestServer.start()
    let ids = [ClientID(71), ClientID(72)]
    for id in ids {
      let holder = try await TestClient.loggedIn(port: server.port, client: id, wantsPushes: true)
      try await holder.ask(Request.Lease(.asked, pushes: 0))
    }
    await server.server.stop()
    let began = ContinuousClock.now
    let again = try await TestServer.start(in: server.directory)
    async let other = TestClient.loggedIn(port: again.port)
    async let first = TestClient.loggedIn(port: again.port, client: ids[0], wantsPushes: true)
    _ = try await TestClient.loggedIn(port: again.port, client: ids[1], wantsPushes: true)
    _ = try await (other, first)
    #expect(ContinuousClock.now - began < Self.granted - .milliseconds(100))
    try await again.remove()
  }

  /// What is wrong on disk makes it wait for all.
  @Test func aListThatCannotBeReadIsWaitedFor() async throws {
    let server = try await TestServer.start()
    let holder = try await TestClient.loggedIn(
      port: server.port, client: ClientID(71), wantsPushes: true)
    try await holder.ask(Request.Lease(.asked, pushes: 0))
    await server.server.stop()
    let path = server.directory + "/DFS1/Alice/leases"
    var bytes = [UInt8](try Data(contentsOf: URL(fileURLWithPath: path)))
    #expect(bytes.count == 16)
    bytes[3] ^= 1
    try Data(bytes).write(to: URL(fileURLWithPath: path))
    let began = ContinuousClock.now
    let again = try await TestServer.start(in: server.directory)
    _ = try await TestClient.loggedIn(port: again.port, client: ClientID(71), wantsPushes: true)
    #expect(ContinuousClock.now - began > Self.granted - .milliseconds(100))
    try await again.remove()
  }
}
