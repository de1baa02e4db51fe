import DFSCore
import DFSTestSupport
import DFSWire
import Testing

@testable import DFSServer

@Suite struct PushTests {
  @Test func othersAreToldOfAChangeAndTheAuthorIsNot() async throws {
    try await withServer { server in
      let me = ClientID.random()
      let writer = try await TestClient.loggedIn(port: server.port, client: me, wantsPushes: true)
      let second = try await TestClient.loggedIn(port: server.port, client: me, wantsPushes: true)
      let other = try await TestClient.loggedIn(port: server.port, wantsPushes: true)
      let quiet = try await TestClient.loggedIn(port: server.port)
      let stranger = try await TestClient.loggedIn(
        port: server.port, user: "Bob", password: "other", wantsPushes: true)
      let view = try await writer.takeView(client: me)
      let head = try await writer.append(view, number: 1, inode: 300)
      try await eventually("a push") {
        other.pushes.contains(.changed(.init([.inode(InodeID(300))], head: head)))
      }
      // Another connection of the same client may know of the change only by this.
      try await eventually("a push to the author's other connection") {
        second.pushes.contains(.changed(.init([.inode(InodeID(300))], head: head)))
      }
      for client in [writer, quiet, stranger] {
        try await client.ask(Request.Ping())
        #expect(client.pushes.allSatisfy { Self.keys($0).isEmpty })
      }
    }
  }

  /// However a ping falls between changes: what its answer's head has was pushed before it.
  @Test func anAnswerComesAfterThePushesOfWhatItsHeadHas() async throws {
    try await withServer { server in
      let writer = try await TestClient.loggedIn(port: server.port)
      let reader = try await TestClient.loggedIn(port: server.port, wantsPushes: true)
      let view = try await writer.takeView()
      let changes = 300
      for number in 1...UInt64(changes) {
        writer.send(writer.apply(view, number: number, inode: 1000 + number))
        if number.isMultiple(of: 2) {
          reader.send(Request.Ping())
        } else {
          reader.send(Request.Query([.inode(InodeID(1000 + number))]))
        }
      }
      try await eventually("all changes are known", within: .seconds(60)) {
        Self.pushed(reader.messages).count == changes
      }
      try await eventually("all are answered", within: .seconds(60)) {
        reader.messages.count { if case .reply = $0 { true } else { false } } >= changes
      }
      var pushed: Set<RowKey> = []
      for message in reader.messages {
        switch message {
        case .push(let push): pushed.formUnion(Self.keys(push))
        case .reply(_, let reply):
          guard let head = reply.toldHead else { continue }
          #expect(pushed.count >= Int(head.number), "an answer at \(head) overtook a push")
        default: break
        }
      }
    }
  }

  @Test func aQueueThatIsNotEmptiedBecomesEverything() {
    let queue = PushQueue {}
    let keys = (0..<3000).map { RowKey.inode(InodeID($0)) }
    let head = Head(view: .none, number: 1, digest: .empty)
    queue.add(Array(keys.prefix(1000)), head: .blank, number: 1)
    queue.add(Array(keys.dropFirst(1000)), head: head, number: 2)
    #expect(queue.take()?.push == .changed(.init(keys, head: head)))
    #expect(queue.take()?.push == nil)
    queue.add(keys, head: .blank, number: 1)
    queue.add(keys, head: .blank, number: 1)
    queue.add([.inode(.root)], head: head, number: 2)
    #expect(queue.take()?.push == .everythingChanged(.init(head: head)))
    queue.add(nil, head: head, number: 2)
    #expect(queue.take()?.push == .everythingChanged(.init(head: head)))
    #expect(queue.take()?.push == nil)
  }

  @Test func whoDoesNotReadIsToldThatEverythingChanged() async throws {
    try await withServer { server in
      let writer = try await TestClient.loggedIn(port: server.port)
      let reader = try await TestClient.loggedIn(port: server.port, wantsPushes: true)
      let part = PartID(version: .random(), part: PartIndex(0))
      try await writer.put(part, [UInt8](repeating: 7, count: 1 << 20), durable: false)
      let view = try await writer.takeView()
      try await eventually("the view is pushed") { !reader.pushes.isEmpty }
      try await reader.pause()
      // Answers that fill the socket, so that nothing more is pushed.
      for _ in 0..<40 { reader.send(Request.GetPart(part, range: 0..<1 << 20)) }
      for batch in 0..<3 {
        let ids = (1...UInt64(2000)).map { index in
          let number = UInt64(batch) * 2000 + index
          return writer.send(writer.apply(view, number: number, inode: 1000 + number))
        }
        for id in ids { _ = try await writer.answer(to: id) }
      }
      try await reader.resume()
      try await eventually("a push of everything", within: .seconds(30)) {
        reader.pushes.contains { if case .everythingChanged = $0 { true } else { false } }
      }
    }
  }

  private static func keys(_ push: Push) -> [RowKey] {
    if case .changed(let changed) = push { changed.keys } else { [] }
  }

  private static func pushed(_ messages: [Message]) -> Set<RowKey> {
    Set(
      messages.flatMap { message -> [RowKey] in
        if case .push(let push) = message { keys(push) } else { [] }
      })
  }
}
