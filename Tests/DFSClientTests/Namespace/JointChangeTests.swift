import DFSCore
import DFSSystem
import DFSTestSupport
import Synchronization
import Testing

@testable import DFSClient

/// Changes that wait for one that is under way become one change.
@Suite struct JointChangeTests {
  private static let directory = NewInode(kind: .directory, mode: 0o755, owner: 0, group: 0)

  private static func number(_ setting: ClientSetting) throws -> UInt64 {
    try #require(setting.client.namespace.driver.stance.leading).number
  }

  @Test func whatWaitsBecomesOneChange() async throws {
    try await ClientSetting.run { setting in
      let namespace = setting.client.namespace
      _ = try await setting.put("first", TestContent(size: 10))
      let before = try Self.number(setting)
      // All of them wait for the turn, which the test has.
      try await namespace.turn.take()
      try await withThrowingTaskGroup(of: Void.self) { group in
        for index in 0..<20 {
          group.addTask {
            let content = TestContent(size: 1000, seed: UInt64(index))
            _ = try await setting.put("file-\(index)", content)
          }
        }
        try await eventually("all of them wait") { namespace.queue.waiting.withLock(\.count) == 20 }
        namespace.turn.give()
        try await group.waitForAll()
      }
      #expect(try Self.number(setting) == before + 1)
      let names = try await setting.client.list(.root, .current).map(\.name.description).sorted()
      #expect(names == (["first"] + (0..<20).map { "file-\($0)" }).sorted())
      for index in 0..<20 {
        let inode = try await setting.client.lookup(.root, FileName("file-\(index)"), .current)
        let version = try #require(inode.version)
        let bytes = try await setting.client.read(version, 0..<1000)
        #expect(try bytes == TestContent(size: 1000, seed: UInt64(index)).bytes(0..<1000))
      }
    }
  }

  /// The copies of a change that writes nothing do not travel with the rows of others, which servers would refuse.
  @Test func whatComesToNothingTakesNobodyAlong() async throws {
    try await ClientSetting.run { setting in
      let (client, namespace) = (setting.client, setting.client.namespace)
      _ = try await setting.put("first", TestContent(size: 10))
      var parts = ChangeParts()
      parts.inline = try await client.transfer.inlineParts(
        TestContent(size: 100), version: namespace.environment.version()
      ).0
      try await namespace.turn.take()
      let nothing = Task { [parts] in
        _ = try await namespace.transact(parts, policy: .quorum) { _ in }
      }
      try await eventually("it waits") { namespace.queue.waiting.withLock(\.count) == 1 }
      let made = Task { try await client.create(.root, FileName("made"), Self.directory) }
      try await eventually("it waits") { namespace.queue.waiting.withLock(\.count) == 2 }
      namespace.turn.give()
      try await nothing.value
      _ = try await made.value
    }
  }

  /// What one of them may not do does not disturb the others, and a content that another one publishes is not
  /// replaced by the same change.
  @Test func eachHasItsOwnOutcome() async throws {
    try await ClientSetting.run { setting in
      let (client, namespace) = (setting.client, setting.client.namespace)
      let file = try await setting.file("file", TestContent(size: 10))
      let before = try Self.number(setting)
      try await namespace.turn.take()
      let publish: @Sendable (UInt64) async throws -> Content? = { seed in
        let target = PublishTarget.inode(file.id, modified: .now, changed: .now, opened: nil)
        return try await client.publish(
          TestContent(size: 100, seed: seed), to: target, durable: false, progress: nil
        ).content
      }
      let first = Task { try await publish(1) }
      try await eventually("it waits") { namespace.queue.waiting.withLock(\.count) == 1 }
      let taken = Task { try await client.create(.root, FileName("file"), Self.directory) }
      try await eventually("it waits") { namespace.queue.waiting.withLock(\.count) == 2 }
      let cancelled = Task { try await client.create(.root, FileName("no"), Self.directory) }
      try await eventually("it waits") { namespace.queue.waiting.withLock(\.count) == 3 }
      let second = Task { try await publish(2) }
      try await eventually("it waits") { namespace.queue.waiting.withLock(\.count) == 4 }
      cancelled.cancel()
      try await eventually("it gave up") { namespace.queue.waiting.withLock(\.count) == 3 }
      namespace.turn.give()
      let error = await #expect(throws: DFSError.self) { try await taken.value }
      #expect(error?.code == .exists)
      await #expect(throws: DFSError.self) { try await cancelled.value }
      let versions = [try await first.value, try await second.value]
      #expect(try Self.number(setting) == before + 2)
      let found = try await client.lookup(.root, FileName("file"), .current).version
      #expect(found?.id == versions[1]?.id && versions[0]?.id != versions[1]?.id)
      let bytes = try await client.read(try #require(found), 0..<100)
      #expect(try bytes == TestContent(size: 100, seed: 2).bytes(0..<100))
      #expect(try await client.list(.root, .current).count == 1)
    }
  }

  /// Who has a change of another's in hand and gives up puts it back: if its caller has given up too, nobody would
  /// ever perform it.
  @Test func whatBothGaveUpHasAnOutcome() async throws {
    try await ClientSetting.run { setting in
      let (client, namespace) = (setting.client, setting.client.namespace)
      try await namespace.turn.take()
      let waiting = Task { try await client.create(.root, FileName("it"), Self.directory) }
      try await eventually("it waits") { namespace.queue.waiting.withLock(\.count) == 1 }
      let taken = namespace.queue.take()
      waiting.cancel()
      try await eventually("its caller has given up") { taken[0].givenUp != nil }
      namespace.queue.putBack(taken)
      try await eventually("it has an outcome") { taken[0].outcome.isDone }
      let error = await #expect(throws: DFSError.self) { try await waiting.value }
      #expect(error?.code == .cancelled)
      namespace.turn.give()
      #expect(try await client.list(.root, .current).isEmpty)
    }
  }

  /// What another program on this mount published in the same change is no news from elsewhere: the kernel would
  /// be told to forget it.
  @Test func whatWasJoinedIsNotToldAsForeign() async throws {
    try await ClientSetting.run { setting in
      let (client, namespace) = (setting.client, setting.client.namespace)
      var files: [Inode] = []
      for index in 0..<3 {
        files.append(try await setting.file("file-\(index)", TestContent(size: 10)))
      }
      let before = try Self.number(setting)
      let last = RowKey.inode(InodeID(99))
      var told = client.invalidations.makeAsyncIterator()
      // What was told until now.
      client.feed.add([last])
      _ = await told.next()
      try await namespace.turn.take()
      try await withThrowingTaskGroup(of: Void.self) { group in
        for file in files {
          group.addTask {
            let target = PublishTarget.inode(file.id, modified: .now, changed: .now)
            _ = try await client.publish(
              TestContent(size: 100), to: target, durable: false, progress: nil)
          }
        }
        try await eventually("all of them wait") { namespace.queue.waiting.withLock(\.count) == 3 }
        namespace.turn.give()
        try await group.waitForAll()
      }
      #expect(try Self.number(setting) == before + 1)
      client.feed.add([last])
      #expect(await told.next() == .rows([last]))
    }
  }
}
