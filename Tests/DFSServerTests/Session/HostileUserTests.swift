import DFSCore
import DFSTestSupport
import DFSWire
import Foundation
import NIOCore
import Testing

@testable import DFSServer

/// A user who logged in and means harm: the server lives, and others are served as before.
@Suite struct HostileUserTests {
  private static func header(_ field: UInt64, _ inner: [UInt8]) -> [UInt8] {
    [0x08, 9] + varint(field << 3 | 2) + varint(UInt64(inner.count)) + inner
  }

  private static func varint(_ number: UInt64) -> [UInt8] {
    var (rest, bytes) = (number, [UInt8]())
    while rest >= 0x80 {
      bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
      rest >>= 7
    }
    return bytes + [UInt8(rest)]
  }

  private static func frame(_ header: [UInt8]) -> ByteBuffer {
    var buffer = ByteBuffer(integer: UInt32(4 + header.count))
    buffer.writeInteger(UInt32(header.count))
    buffer.writeBytes(header)
    return buffer
  }

  // MARK: Numbers

  /// The three messages: a transfer whose head has the last number there is, and a change after it.
  @Test func theLastNumberKillsNobody() async throws {
    try await withServer { server in
      let client = try await TestClient.loggedIn(port: server.port)
      let view = try await client.takeView()
      for number in [UInt64.max, UInt64.max - 1, 1 << 63, Limits.number + 1] as [UInt64] {
        let next = View(round: 2, client: view.client, namespace: view.namespace)
        try await client.ask(Request.RefillBegin(next, own: nil))
        let end = client.send(
          Request.RefillEnd(next, to: Head(view: next, number: number, digest: .empty)))
        guard case .failed(let refusal) = try await client.answer(to: end).reply else {
          Issue.record("\(number) is taken")
          continue
        }
        #expect(refusal.error.code == .protocolViolation)
      }
      // The last one that there is: nothing follows it, and that is all.
      let last = View(round: 3, client: view.client, namespace: view.namespace)
      try await client.ask(Request.RefillBegin(last, own: nil))
      try await client.ask(
        Request.RefillEnd(last, to: Head(view: last, number: Limits.number, digest: .empty)))
      for number in [Limits.number, Limits.number + 1, UInt64.max] {
        _ = try await client.answer(to: client.send(client.apply(last, number: number, inode: 7)))
      }
      try await client.ask(Request.Health())
      let other = try await TestClient.loggedIn(port: server.port, user: "Bob", password: "other")
      try await other.ask(Request.Ping())
    }
  }

  @Test func aRoundThatIsAbsurdlyFarAheadIsRefused() async throws {
    try await withServer { server in
      let client = try await TestClient.loggedIn(port: server.port)
      let view = try await client.takeView()
      let far = View(
        round: Limits.roundsAhead + 2, client: view.client, namespace: view.namespace)
      let install = NamespaceRequest.install(
        far, from: Head(view: view, number: 0, digest: .empty), changes: [],
        to: Head(view: far, number: 0, digest: .empty))
      let ids = [
        client.send(Request.Namespace(.prepare(far))), client.send(Request.Namespace(install)),
        client.send(Request.RefillBegin(far, own: nil)),
      ]
      for (index, id) in ids.enumerated() {
        guard case .failed(let refusal) = try await client.answer(to: id).reply else {
          Issue.record("request \(index) is taken")
          continue
        }
        #expect(refusal.error.code == .outOfRange)
      }
      // The user can still write.
      let next = View(round: 2, client: view.client, namespace: view.namespace)
      try await client.ask(Request.Namespace(.prepare(next)))
    }
  }

  /// Rows that say that they need 2^53 bytes each: their sum is more than 64 bits have.
  @Test func hugeFilesThatAreMissingDoNotOverflow() async throws {
    try await withServer { server in
      let client = try await TestClient.loggedIn(port: server.port)
      let view = try await client.takeView()
      let size = Limits.fileBytes
      for number in UInt64(1)...3 {
        let writes = (0..<1400).map { index -> RowWrite in
          let version = Content(
            id: .random(), size: size, md5: .of([]), placement: Placement(md5: .of([])),
            partDigests: .init(repeating: BlockChecksum(0), count: 4))
          return Inode(
            id: InodeID(number << 16 | UInt64(index)), kind: .regular, mode: 0o600, owner: 0,
            group: 0, time: Timestamp(nanoseconds: 0), version: Version(version)
          ).row
        }
        let change = Change(id: ChangeID(client: view.client, sequence: number), writes: writes)
        try await client.ask(
          Request.Namespace(.apply(view, number: number, change)))
      }
      let report = try await client.ask(Request.Health())
      #expect(report.missingBytes == Limits.storeBytes)
    }
  }

  // MARK: Much at once

  /// Times of another user's pings while `attack` goes on.
  private func pings(
    of other: TestClient, during attack: @escaping @Sendable () async throws -> Void
  ) async throws -> Duration {
    try await withThrowingTaskGroup(of: Void.self) { group in
      group.addTask { try await attack() }
      var longest = Duration.zero
      for _ in 0..<40 {
        let time = try await ContinuousClock().measure { try await other.ask(Request.Ping()) }
        longest = max(longest, time)
        try await Task.sleep(for: .milliseconds(25))
      }
      group.cancelAll()
      return longest
    }
  }

  @Test func framesOfManyEmptyQueriesDelayNobody() async throws {
    try await withServer { server in
      let other = try await TestClient.loggedIn(port: server.port, user: "Bob", password: "other")
      var items: [UInt8] = []
      for _ in 0..<(2 << 20) { items += [0x0a, 0] }
      let frame = Self.frame(Self.header(15, Array(items.dropLast(64))))
      let hostile = try await connections(8, server)
      let longest = try await pings(of: other) {
        for client in hostile {
          for _ in 0..<3 { client.channel.pipeline.syncSend(frame) }
        }
        try await Task.sleep(for: .seconds(30))
      }
      #expect(longest < .seconds(4))
      try await eventually("all are answered") {
        hostile.allSatisfy { $0.messages.count >= 3 }
      }
      for client in hostile { try await client.ask(Request.Ping()) }
    }
  }

  private func connections(_ count: Int, _ server: TestServer) async throws -> [TestClient] {
    let cache = ScramCache()
    var clients: [TestClient] = []
    for _ in 0..<count {
      clients.append(try await TestClient.loggedIn(port: server.port, cache: cache))
    }
    return clients
  }

  /// Unfinished frames take room of their user alone, and have a deadline.
  @Test func framesThatLackAByteAreBoundedAndEnd() async throws {
    try await withServer({
      $0.bytes = 32 << 20
      $0.frameSeconds = 2
    }) { server in
      let hostile = try await connections(12, server)
      let other = try await TestClient.loggedIn(port: server.port, user: "Bob", password: "other")
      let frame = Self.frame([UInt8](repeating: 0, count: 4_000_000))
      for client in hostile {
        client.channel.pipeline.syncSend(frame.getSlice(at: 0, length: 3_999_999) ?? frame)
      }
      let load = server.server.load(of: try UserName("Alice"))
      // Until their deadline ends the first of them.
      var most = 0
      try await eventually("one ends", within: .seconds(30)) {
        most = max(most, load.bytes)
        return hostile.contains { $0.isClosed }
      }
      #expect(most > 4_000_000, "some have room")
      #expect(most <= 16 << 20)
      try await other.ask(Request.Ping())
      try await eventually("they end", within: .seconds(30)) {
        hostile.allSatisfy { $0.isClosed } && load.bytes == 0
      }
      #expect(hostile.contains { $0.refusal?.code == .timedOut })
      try await other.ask(Request.Ping())
    }
  }

  /// Rows of 64 KiB, 512 at once: refused, not kept.
  @Test func queriesOfLargeRowsAreBounded() async throws {
    try await withServer { server in
      let client = try await TestClient.loggedIn(port: server.port)
      let view = try await client.takeView()
      for number in UInt64(1)...2 {
        let writes = (0..<60).map { index in
          RowWrite(
            .inode(InodeID(number << 8 | UInt64(index))),
            RowValue(bytes: [UInt8](repeating: 1, count: 64 << 10)))
        }
        let change = Change(id: ChangeID(client: view.client, sequence: number), writes: writes)
        try await client.ask(
          Request.Namespace(.apply(view, number: number, change)))
      }
      let few = (0..<30).map { Query.inode(InodeID(1 << 8 | $0)) }
      try await client.ask(Request.Query(few))
      let many = (0..<512).map { Query.inode(InodeID(1 << 8 | $0 % 60)) }
      let ids = (0..<60).map { _ in client.send(Request.Query(many)) }
      for id in ids {
        guard case .failed(let refusal) = try await client.answer(to: id).reply else {
          Issue.record("answered")
          continue
        }
        #expect(refusal.error.code == .invalidArgument)
        #expect(server.server.load(of: try UserName("Alice")).bytes <= 128 << 20)
      }
      try await eventually("nothing is under way") { server.server.bytesInUse == 0 }
    }
  }

  /// 60 requests for 4,096 versions each, from 20 connections; then the connections end.
  @Test func manyLookUpsDelayNobodyAndEndWithTheirConnections() async throws {
    try await withServer { server in
      let other = try await TestClient.loggedIn(port: server.port, user: "Bob", password: "other")
      let hostile = try await connections(20, server)
      // (Encoded once: the clients of this test share their event loops with the server.)
      let versions = (UInt64(0)..<4096).flatMap { number -> [UInt8] in
        [0x0a, 18, 0x09] + number.bigEndianBytes + [0x11] + number.bigEndianBytes
      }
      let frame = Self.frame(Self.header(24, versions))
      let clock = ContinuousClock()
      for client in hostile { for _ in 0..<60 { client.channel.pipeline.syncSend(frame) } }
      for _ in 0..<10 {
        let time = try await clock.measure { try await other.ask(Request.Query([.inode(.root)])) }
        #expect(time < .seconds(4))
      }
      for client in hostile { try await client.close() }
      let time = try await clock.measure {
        try await eventually("nothing is under way", within: .seconds(30)) {
          server.server.bytesInUse == 0
        }
      }
      // What is in the sockets is performed before their ends are seen; all of it would take twice as long.
      #expect(time < .seconds(10))
    }
  }

  // MARK: Connections and accounts

  @Test func oneUserDoesNotTakeAllConnections() async throws {
    try await withServer({ $0.connectionsPerUser = 3 }) { server in
      let mine = try await connections(3, server)
      let error = await #expect(throws: DFSError.self) {
        _ = try await TestClient.loggedIn(port: server.port)
      }
      #expect(error?.code == .busy)
      _ = try await TestClient.loggedIn(port: server.port, user: "Bob", password: "other")
      try await mine[0].close()
      try await eventually("there is room again") {
        (try? await TestClient.loggedIn(port: server.port)) != nil
      }
    }
  }

  @Test func whoWasRemovedIsSentAwayWithinFiveSeconds() async throws {
    try await withServer { server in
      let removed = try await TestClient.loggedIn(port: server.port)
      let stays = try await TestClient.loggedIn(port: server.port, user: "Bob", password: "other")
      let name = try UserName("Alice")
      _ = try UsersDisk.change(server.usersFile) { $0.remove(name) }
      try await eventually("the end", within: .seconds(5)) { removed.isClosed }
      #expect(removed.refusal?.code == .loginFailed)
      try await stays.ask(Request.Ping())
    }
  }

  @Test func aChangedPasswordEndsTheConnectionsOfTheOldOne() async throws {
    try await withServer { server in
      let old = try await TestClient.loggedIn(port: server.port)
      try UsersDisk.change(server.usersFile) { users throws(DFSError) in
        try users.set(try UserName("Alice"), password: "new")
      }
      try await eventually("the end", within: .seconds(5)) { old.isClosed }
      let new = try await TestClient.loggedIn(port: server.port, password: "new")
      try await Task.sleep(for: .seconds(2))
      try await new.ask(Request.Ping())
    }
  }

  // MARK: Quotas

  @Test func aQuotaHoldsForCopiesLargeAndSmallAndDfShowsIt() async throws {
    try await withServer { server in
      let name = try UserName("Alice")
      let limits = try UserLimits(["quota=3M", "connections=2"])
      try UsersDisk.change(server.usersFile) { users throws(DFSError) in
        _ = try users.convert()
        try users.set(name, limits: limits)
      }
      let client = try await TestClient.loggedIn(port: server.port)
      let view = try await client.takeView()
      let space = try await client.ask(Request.Space())
      #expect(space.total == 3 << 20)
      #expect(space.available < 3 << 20)
      let part = PartID(version: .random(), part: PartIndex(0))
      try await client.put(part, [UInt8](repeating: 7, count: 2 << 20), durable: false)
      let next = PartID(version: .random(), part: PartIndex(0))
      let error = await #expect(throws: DFSError.self) {
        try await client.put(next, [UInt8](repeating: 7, count: 1 << 20), durable: false)
      }
      #expect(error?.code == .quotaExceeded)
      // Rows alone go on for a while, small copies do not.
      _ = try await client.append(view, number: 1, inode: 9)
      let home = Placement(md5: .of([]))
      let index = try #require(home.parts(on: ServerIndex(0)).first)
      let bytes = [UInt8](repeating: 3, count: 32 << 10)
      var refusal: DFSError?
      for number in UInt64(2)..<60 where refusal == nil {
        let content = RowContent(version: .random(), placement: home, home: home)
        let inline = InlinePart(
          id: PartID(version: content.version, part: index), bytes: bytes, checksum: .of(bytes))
        let write = RowWrite(.inode(InodeID(10)), RowValue(bytes: [1], content: content))
        let change = Change(id: ChangeID(client: view.client, sequence: number), writes: [write])
        let id = client.send(
          Request.Namespace(
            .apply(view, number: number, change), parts: [inline]))
        if case .failed(let failed) = try await client.answer(to: id).reply {
          refusal = failed.error
        }
      }
      #expect(refusal?.code == .quotaExceeded)
      // Others have room, and so has who is given more.
      let other = try await TestClient.loggedIn(port: server.port, user: "Bob", password: "other")
      try await other.put(part, [UInt8](repeating: 7, count: 4 << 20), durable: false)
      try UsersDisk.change(server.usersFile) { users throws(DFSError) in
        try users.set(name, limits: try UserLimits(["quota=100M"]))
      }
      try await eventually("the new quota holds", within: .seconds(5)) {
        try await client.ask(Request.Space()).total == 100 << 20
      }
      try await client.put(next, [UInt8](repeating: 7, count: 1 << 20), durable: false)
    }
  }
}
