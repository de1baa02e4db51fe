import DFSCore
import DFSTestSupport
import DFSWire
import Foundation
import NIOCore
import Testing

@testable import DFSServer

@Suite struct StopTests {
  @Test func aStopFinishesWhatIsUnderWayAndSaysSo() async throws {
    let server = try await TestServer.start()
    let alice = try await TestClient.loggedIn(port: server.port, wantsPushes: true)
    let view = try await alice.takeView()
    let ids = (1...UInt64(50)).map { alice.send(alice.apply(view, number: $0, inode: 500 + $0)) }
    _ = try await alice.answer(to: ids[0])
    await server.server.stop()
    try await eventually("the connection ends") { alice.isClosed }
    // Pushes of changes that were under way may still follow it.
    #expect(alice.pushes.contains(.goingAway(.init())))
    let acknowledged = try await Self.acknowledged(alice, ids)
    #expect(acknowledged >= 1)

    let again = try await TestServer.start(in: server.directory)
    let client = try await TestClient.loggedIn(port: again.port)
    let head = try await client.ask(Request.Ping()).head
    #expect(head.number >= acknowledged)
    try await again.remove()
  }

  @Test func aStopDoesNotWaitForWhoDoesNotRead() async throws {
    let server = try await TestServer.start { $0.drainSeconds = 1 }
    let client = try await TestClient.loggedIn(port: server.port)
    let part = PartID(version: .random(), part: PartIndex(0))
    try await client.put(part, [UInt8](repeating: 7, count: 1 << 20), durable: false)
    try await client.pause()
    for _ in 0..<100 { client.send(Request.GetPart(part, range: 0..<1 << 20)) }
    try await eventually("the window is full") { server.server.bytesInUse > 6 << 20 }
    let clock = ContinuousClock()
    let time = await clock.measure { await server.server.stop() }
    #expect(time < .seconds(8))
    try FileManager.default.removeItem(atPath: server.directory)
  }

  @Test func aPortInUseIsAClearErrorAndTheDirectoryIsLeft() async throws {
    try await withServer { server in
      let directory = TestServer.temporaryDirectory()
      let error = await #expect(throws: DFSError.self) {
        try await TestServer.start(in: directory) { $0.port = server.port }
      }
      #expect(error?.message.contains("port \(server.port) is in use") == true)
      try await TestServer.start(in: directory).remove()
    }
  }

  @Test func aDirectoryHasOneServerOneNameAndOneCluster() async throws {
    let server = try await TestServer.start()
    let locked = await #expect(throws: DFSError.self) {
      try await TestServer.start(in: server.directory)
    }
    #expect(locked?.message.contains("in use by another dfs") == true)
    await server.server.stop()
    let other = await #expect(throws: DFSError.self) {
      try await TestServer.start(in: server.directory) { $0.cluster = "other" }
    }
    #expect(other?.message.contains("cluster") == true)
    try FileManager.default.moveItem(
      atPath: server.directory + "/DFS1", toPath: server.directory + "/DFS2")
    let name = await #expect(throws: DFSError.self) {
      try await TestServer.start(in: server.directory) {
        $0.directory = server.directory + "/DFS2"
      }
    }
    #expect(name?.message.contains("DFS1") == true)
    try FileManager.default.removeItem(atPath: server.directory)
  }

  @Test(arguments: ["/", "", "/tmp/a b", "/nowhere/at/all/DFS1"])
  func aDirectoryThatNamesNoServerIsRefused(path: String) throws {
    #expect(throws: DFSError.self) { try ServerDirectory(path) }
  }

  @Test func theNameIsThatOfTheRealDirectory() throws {
    let directory = TestServer.temporaryDirectory()
    let name = String(directory.split(separator: "/").last ?? "")
    #expect(try ServerDirectory(directory + "/").name == name)
    #expect(try ServerDirectory(directory + "/.").name == name)
    #expect(try ServerDirectory(directory + "/DFS3/").name == "DFS3")
    #expect(try ServerDirectory(directory + "/../\(name)/DFS3").path.hasSuffix("/\(name)/DFS3"))
    try FileManager.default.removeItem(atPath: directory)
  }

  private static func acknowledged(_ client: TestClient, _ ids: [UInt64]) async throws -> UInt64 {
    var count: UInt64 = 0
    for id in ids {
      guard let answer = try? await client.answer(to: id),
        case .namespaceReply(.applied) = answer.reply
      else { break }
      count += 1
    }
    return count
  }
}
