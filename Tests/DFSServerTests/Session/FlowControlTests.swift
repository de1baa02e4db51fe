import DFSCore
import DFSTestSupport
import DFSWire
import NIOCore
import Testing

@testable import DFSServer

@Suite struct FlowControlTests {
  /// A client that asks for 100 MiB and reads nothing: the server holds no more than the window,
  /// and another client of the same user is served as before.
  @Test func whoDoesNotReadStopsOnlyItself() async throws {
    try await withServer { server in
      let slow = try await TestClient.loggedIn(port: server.port)
      let quick = try await TestClient.loggedIn(port: server.port)
      let part = PartID(version: .random(), part: PartIndex(0))
      try await slow.put(part, [UInt8](repeating: 7, count: 1 << 20), durable: false)
      try await slow.pause()
      let ids = (0..<100).map { _ in slow.send(Request.GetPart(part, range: 0..<1 << 20)) }
      try await eventually("the window is full", within: .seconds(60)) {
        server.server.bytesInUse > 6 << 20
      }
      let clock = ContinuousClock()
      var times: [Duration] = []
      for _ in 0..<50 {
        times.append(
          try await clock.measure { try await quick.ask(Request.GetPart(part, range: 0..<1000)) })
        #expect(server.server.bytesInUse <= 10 << 20)
      }
      #expect(times.sorted()[25] < .milliseconds(500), "\(times)")
      try await slow.resume()
      for id in ids { _ = try await slow.answer(to: id, within: .seconds(60)) }
      try await eventually("nothing is under way") { server.server.bytesInUse == 0 }
    }
  }

  /// A client that sends faster than the disk takes: what it cannot send yet stays with it.
  @Test func whoSendsTooMuchIsStopped() async throws {
    try await withServer { server in
      let client = try await TestClient.loggedIn(port: server.port)
      let part = PartID(version: .random(), part: PartIndex(0))
      try await client.put(part, [UInt8](repeating: 7, count: 1 << 20), durable: false)
      try await client.pause()
      for _ in 0..<2000 { client.send(Request.GetPart(part, range: 0..<1 << 20)) }
      try await eventually("the window is full", within: .seconds(60)) {
        server.server.bytesInUse > 6 << 20
      }
      // 100 MiB of rows, which the server does not read while the window is full.
      for _ in 0..<100 {
        let rows = (0..<16).map {
          Row(
            key: .inode(InodeID($0)), change: 1,
            value: RowValue(bytes: .init(repeating: 0, count: 1 << 16)))
        }
        client.send(Request.RefillRows(rows))
      }
      try await eventually("the sender cannot write") { !client.channel.isWritable }
      #expect(server.server.bytesInUse <= 10 << 20)
      try await client.close()
      try await eventually("nothing is under way") { server.server.bytesInUse == 0 }
    }
  }

  @Test func theWindowAdmitsOneAndThenWhatFits() {
    let all = BytesInUse(limit: 1000)
    var one = Window(requests: 3, bytes: 100, all: all)
    var two = Window(requests: 3, bytes: 2000, all: all)
    #expect(one.admits(500))
    one.begin(500)
    #expect(!one.admits(1))
    two.begin(10)
    #expect(two.admits(490))
    #expect(!two.admits(491))
    one.end(500)
    one.begin(10)
    one.begin(10)
    one.begin(10)
    #expect(!one.admits(10))
    #expect(all.bytes == 40)
  }

  @Test func oneConnectionTooManyIsRefused() async throws {
    try await withServer({ $0.connections = 2 }) { server in
      let one = try await TestClient.loggedIn(port: server.port)
      let two = try await TestClient.loggedIn(port: server.port)
      let three = try await TestClient.connect(port: server.port)
      try await three.hello()
      let refusal = await #expect(throws: DFSError.self) {
        try await three.logIn("Alice", "secret")
      }
      #expect(refusal?.code == .busy)
      try await one.close()
      try await two.ask(Request.Ping())
      try await eventually("there is room again") {
        (try? await TestClient.loggedIn(port: server.port)) != nil
      }
    }
  }
}
