import DFSCore
import DFSTestSupport
import DFSWire
import NIOCore
import Testing

/// What a logged-in user can ask, over a real socket, of a real store.
@Suite struct DispatchTests {
  @Test func aCopyIsPutInPiecesAndReadBack() async throws {
    try await withServer { server in
      let alice = try await TestClient.loggedIn(port: server.port)
      let part = PartID(version: .random(), part: PartIndex(2))
      let bytes = (0..<2_500_000).map { UInt8(truncatingIfNeeded: $0 / 7) }
      try await alice.put(part, bytes, durable: true)
      #expect(try await alice.get(part, count: bytes.count) == bytes)
      let answer = try await alice.askForBytes(Request.GetPart(part, range: 70_000..<70_001))
      #expect(answer.body.map { Array($0.readableBytesView) } == Array(bytes[65_536..<131_072]))
      let copies = try await alice.ask(Request.Copies([part.version]))
      #expect(copies.parts == [[PartIndex(2)]])
      try await alice.ask(Request.SyncParts([part]))
    }
  }

  /// Those that are here and small; the others are asked for one by one.
  @Test func smallPartsComeTogether() async throws {
    try await withServer { server in
      let alice = try await TestClient.loggedIn(port: server.port)
      let bob = try await TestClient.loggedIn(port: server.port, user: "Bob", password: "other")
      let version = VersionID.random()
      let parts = PartIndex.all.map { PartID(version: version, part: $0) }
      try await alice.put(parts[0], [1, 2, 3], durable: false)
      try await alice.put(parts[1], [4], durable: false)
      try await alice.put(
        parts[3], Array(repeating: 9, count: Limits.inlinePartBytes + 1), durable: false)
      let answer = try await alice.ask(Request.GetSmallParts(parts.reversed()))
      let one = InlinePart(id: parts[0], bytes: [1, 2, 3], checksum: .of([1, 2, 3]))
      let two = InlinePart(id: parts[1], bytes: [4], checksum: .of([4]))
      #expect(answer.parts == [two, one])
      #expect(try await bob.ask(Request.GetSmallParts(parts)).parts == [])
    }
  }

  @Test func aFewBytesOfAPartComeAlone() async throws {
    try await withServer { server in
      let alice = try await TestClient.loggedIn(port: server.port)
      let bob = try await TestClient.loggedIn(port: server.port, user: "Bob", password: "other")
      let part = PartID(version: .random(), part: PartIndex(2))
      let bytes = (0..<150_000).map { UInt8(truncatingIfNeeded: $0 / 7) }
      try await alice.put(part, bytes, durable: false)
      // The first is read from the disk, the others from the file that is open then.
      for range in [65_000..<66_000, 0..<1, 131_000..<132_000, 149_990..<150_000] {
        let asked = Request.GetBytes(
          part, range: UInt64(range.lowerBound)..<UInt64(range.upperBound))
        #expect(try await alice.ask(asked) == .init(Array(bytes[range])))
      }
      #expect(
        try await alice.ask(Request.GetBytes(part, range: 149_999..<150_010))
          == .init([bytes[149_999]]))
      #expect(try await alice.ask(Request.GetBytes(part, range: 200_000..<200_001)) == .init([]))
      let error = await #expect(throws: DFSError.self) {
        try await bob.ask(Request.GetBytes(part, range: 0..<1))
      }
      #expect(error?.code == .notFound)
    }
  }

  @Test func oneUserReachesNothingOfAnother() async throws {
    try await withServer { server in
      let alice = try await TestClient.loggedIn(port: server.port)
      let bob = try await TestClient.loggedIn(port: server.port, user: "Bob", password: "other")
      let part = PartID(version: .random(), part: PartIndex(0))
      try await alice.put(part, [1, 2, 3], durable: false)
      let error = await #expect(throws: DFSError.self) {
        try await bob.ask(Request.GetPart(part, range: 0..<3))
      }
      #expect(error?.code == .notFound)
      let view = try await alice.takeView()
      _ = try await alice.append(view, number: 1, inode: 1000)
      #expect(try await bob.rows(of: .inode(InodeID(1000))) == [])
      #expect(try await alice.rows(of: .inode(InodeID(1000))).count == 1)
    }
  }

  @Test func badBytesOfACopyAreRefused() async throws {
    try await withServer { server in
      let alice = try await TestClient.loggedIn(port: server.port)
      let part = PartID(version: .random(), part: PartIndex(0))
      let extent = PartExtent(id: part, length: 3, offset: 0, checksums: [BlockChecksum(1)])
      let error = await #expect(throws: DFSError.self) {
        try await alice.ask(
          Request.PutPart(extent, durable: false), body: ByteBuffer(bytes: [1, 2, 3] as [UInt8]))
      }
      #expect(error?.code == .damaged)
      try await alice.ask(Request.Ping())
    }
  }

  @Test func anUnreadableRequestIsAnsweredAndTheConnectionGoesOn() async throws {
    try await withServer { server in
      let alice = try await TestClient.loggedIn(port: server.port)
      var unknown = ByteBuffer(integer: UInt32(9))
      unknown.writeInteger(UInt32(5))
      unknown.writeBytes([0x08, 77, 0xba, 0x05, 0] as [UInt8])
      alice.channel.pipeline.syncSend(unknown)
      let answer = try await alice.answer(to: 77)
      guard case .failed(let refusal) = answer.reply else {
        throw DFSError(.protocolViolation, "no refusal")
      }
      #expect(refusal.error.message.hasPrefix("unknown message"))
      try await alice.ask(Request.Ping())
    }
  }

  @Test func spaceIsReported() async throws {
    try await withServer { server in
      let alice = try await TestClient.loggedIn(port: server.port)
      #expect(try await alice.ask(Request.Space()).total > 0)
    }
  }

  @Test func manyRequestsAtOnceAreAllAnswered() async throws {
    try await withServer { server in
      let alice = try await TestClient.loggedIn(port: server.port)
      let view = try await alice.takeView()
      let ids = (1...500).map { number in
        alice.send(alice.apply(view, number: UInt64(number), inode: UInt64(1000 + number)))
      }
      for (index, id) in ids.enumerated() {
        guard case .namespaceReply(.applied(let head)) = try await alice.answer(to: id).reply else {
          throw DFSError(.protocolViolation, "change \(index + 1) was not applied")
        }
        #expect(head.number == UInt64(index + 1))
      }
    }
  }

  @Test func aRefillReplacesTheRows() async throws {
    try await withServer { server in
      let alice = try await TestClient.loggedIn(port: server.port)
      let view = View(round: 5, client: ClientID(9), namespace: .random())
      let row = Row(key: .inode(InodeID(77)), change: 3, value: RowValue(bytes: [1]))
      let to = Head(view: view, number: 3, digest: RowDigest(of: row))
      try await alice.ask(Request.RefillBegin(view, own: nil))
      try await alice.ask(Request.RefillRows([row]))
      let end = try await alice.ask(Request.RefillEnd(view, to: to))
      #expect(end == .installed(to))
      #expect(try await alice.rows(of: .inode(InodeID(77))) == [row])
    }
  }
}
