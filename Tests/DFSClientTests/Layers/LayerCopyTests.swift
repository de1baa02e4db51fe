import DFSCore
import DFSTestSupport
import Foundation
import Testing

@testable import DFSClient

/// The copies of layers on four real servers, when some of these are away or lose them.
@Suite(.serialized, .timeLimit(.minutes(3))) struct LayerCopyTests {
  /// A base, a small layer, a large one with its index in the content.
  private func file(_ client: DFSClient) async throws -> LayeredFile {
    var file = try await LayeredFile("a", base: 400_000, by: client)
    try await file.write([10..<20, 200_000..<200_100], by: client)
    try await file.write((0..<300).map { $0 * 1000 + 100..<$0 * 1000 + 900 }, by: client)
    return file
  }

  @Test func withEveryServerAway() async throws {
    try await ClientSetting.run { setting in
      let file = try await file(setting.client)
      for server in ServerIndex.all {
        try await setting.kill(server)
        try await file.check(by: setting.client)
        let other = try await setting.another(servers: 3)
        try await file.check(by: other)
        await other.close()
        try await setting.restart(server)
      }
    }
  }

  /// What a server that is away should have is with the one opposite, and comes home.
  @Test(arguments: [ServerIndex(0), ServerIndex(2)])
  func substitutesAreNotedInBothRowsAndComeHome(_ away: ServerIndex) async throws {
    try await ClientSetting.run { setting in
      let client = try await setting.another(.quorum)
      var file = try await file(client)
      try await setting.kill(away, client)
      try await file.write([50..<60], by: client)
      try await file.write([100_000..<350_000], by: client)
      let version = try await setting.checkRows(of: file.inode.id, by: client)
      for layer in version.layers.suffix(2) {
        let content = layer.content
        #expect(content.placement != Placement(md5: content.md5))
        #expect(content.placement.holders.allSatisfy { !$0.contains(away) && $0.count == 2 })
      }
      try await file.check(by: client)
      try await setting.restart(away, client)
      try await eventually("all copies are home", within: .seconds(60)) {
        let report = try await client.heal { _ in }
        guard report.isHealthy else { return false }
        let version = try await client.inode(file.inode.id, .current).version
        return version?.contents.allSatisfy { $0.placement == Placement(md5: $0.md5) } == true
      }
      let home = try await setting.checkRows(of: file.inode.id, by: client)
      #expect(home.id == version.id && home.layers.map(\.inode) == version.layers.map(\.inode))
      #expect(home.layers.allSatisfy { $0.content.placement == Placement(md5: $0.content.md5) })
      #expect(client.cluster.reachable == .all)
      // Now without the substitute.
      try await setting.kill(ServerIndex((away.value + 2) % 4), client)
      try await file.check(home, by: client)
      await client.close()
    }
  }

  /// A server that is lost while a layer is stored, after it was asked whether it answers.
  @Test func aServerThatIsLostMeanwhileIsSubstitutedFor() async throws {
    try await ClientSetting.run { setting in
      let client = try await setting.another(.quorum)
      var file = try await file(client)
      let (servers, lost) = (setting.servers, ServerIndex(1))
      try await file.write([50..<60], by: client) {
        servers.send(SIGKILL, to: lost)
        while client.cluster.reachable.contains(lost) { usleep(1000) }
      }
      let version = try await setting.checkRows(of: file.inode.id, by: client)
      #expect(try file.version == version)
      let content = try #require(version.layers.last?.content)
      #expect(content.placement != Placement(md5: content.md5))
      #expect(content.placement.holders.allSatisfy { !$0.contains(lost) && $0.count == 2 })
      try await file.write([100_000..<350_000], by: client)
      _ = try await setting.checkRows(of: file.inode.id, by: client)
      try await file.check(try file.version, by: client)
      try await servers.kill(lost)
      try await setting.restart(lost, client)
      try await eventually("all is well", within: .seconds(60)) {
        let report = try await client.heal { _ in }
        return report.isHealthy
      }
      let home = try await setting.checkRows(of: file.inode.id, by: client)
      #expect(home.layers.allSatisfy { $0.content.placement == Placement(md5: $0.content.md5) })
      await client.close()
    }
  }

  @Test func aLostCopyOfALayerIsBrought() async throws {
    try await ClientSetting.run { setting in
      let client = setting.client
      let file = try await file(client)
      let layer = try #require(try file.version.layers.last)
      #expect(!layer.content.split.isInline)
      let part = PartIndex(1)
      let (first, second) = try setting.holders(of: part, layer.content)
      try setting.delete(part, of: layer.content, on: first)
      #expect(await client.scrub() == .all)
      try await eventually("the loss is noticed", within: .seconds(30)) {
        await client.health().missing[first]?.contains { $0.inode == layer.inode } == true
      }
      let report = try await client.heal { _ in }
      #expect(report.copies == 1 && report.isHealthy, "\(report)")
      let length = layer.content.split.length(of: part)
      let copy = try await client.readCopy(layer.content, part, on: first, 0..<length)
      #expect(UInt64(copy.blocks.joined().count) == length)
      try await setting.kill(second)
      try await file.check(by: client)
    }
  }

  // MARK: Pins and conflicts

  private static let atOnce = ["--keep-seconds", "0"]

  private func untilGone(_ contents: [Content], _ client: DFSClient) async throws {
    try await eventually("what was replaced is gone", within: .seconds(60)) {
      let copies = try await client.copies(contents.map(\.id))
      return copies.values.allSatisfy { $0.holders.allSatisfy(\.isEmpty) }
    }
  }

  /// All contents of what is open stay as long as it is, though others replaced it.
  @Test func aVersionThatIsOpenKeepsItsContents() async throws {
    try await ClientSetting.run(arguments: Self.atOnce) { setting in
      let client = setting.client
      let open = try await file(client)
      var replaced = try await LayeredFile("b", base: 500_000, by: client, seed: 9)
      try await replaced.write([0..<300_000], by: client)
      let (version, other) = (try open.version, try replaced.version)
      client.pin(version)
      await client.untilPinned()
      for name in ["a", "b", "c"] { _ = try await setting.put(name, TestContent(size: 200_000)) }
      try await untilGone(other.contents, client)
      try await open.check(version, by: client)
      client.unpin(version)
      await client.untilPinned()
      try await untilGone(version.contents, client)
    }
  }

  /// Two clients lay something large over the same version: each has what it wrote.
  @Test func bothOfAConflictAreWhole() async throws {
    try await ClientSetting.run { setting in
      let other = try await setting.another()
      var mine = try await file(setting.client)
      var theirs = mine
      try await theirs.write([1000..<300_000], by: other)
      try await mine.write([200_000..<390_000], cut: 395_000, by: setting.client)
      #expect(theirs.inode.id == mine.inode.id)
      try await mine.check(by: other)
      let items = try await other.list(.root, .current)
      let kept = try #require(items.first { $0.name.description.hasPrefix("a (conflict here ") })
      #expect(items.count == 2)
      try await theirs.check(try #require(kept.inode.version), by: other)
      _ = try await setting.checkRows(of: kept.inode.id, by: other)
      _ = try await setting.checkRows(of: mine.inode.id, by: other)
      // Each without the other.
      _ = try await other.unlink(.root, kept.name)
      try await mine.check(by: setting.client)
      await other.close()
    }
  }

  /// What a layer lies over is gone by now: that is said, and the file stays as the other one left it.
  @Test func aLayerOverWhatIsGoneIsRefused() async throws {
    try await ClientSetting.run(arguments: Self.atOnce) { setting in
      let other = try await setting.another()
      var mine = try await file(setting.client)
      let below = try mine.version
      let whole = TestContent(size: 200_000)
      let new = NewInode(kind: .regular, mode: 0o644, owner: 0, group: 0)
      let theirs = try await other.publish(
        whole, to: .name(parent: .root, FileName("a"), new), durable: true, progress: nil)
      _ = try await setting.put("b", TestContent(size: 5))
      try await untilGone(below.contents, setting.client)
      await #expect(throws: DFSError.self) {
        try await mine.write([200_000..<390_000], by: setting.client)
      }
      let found = try await other.lookup(.root, FileName("a"), .current)
      #expect(found.version == theirs.version)
      #expect(try await other.list(.root, .current).count == 2)
      await other.close()
    }
  }

  /// What is stored again for such a reason has no zeros for large holes.
  @Test func holesAreNotStoredAgain() async throws {
    try await ClientSetting.run(arguments: Self.atOnce) { setting in
      let (client, other) = (setting.client, try await setting.another())
      let new = NewInode(kind: .regular, mode: 0o644, owner: 0, group: 0)
      let made = try await client.create(.root, FileName("a"), new)
      let size: UInt64 = 1 << 44
      let far = try await setting.lay(
        Array("far".utf8), [LayerExtent(size - 3..<size)], cut: 0, size: size, over: made)
      let below = try #require(far.version)
      client.pin(below)
      await client.untilPinned()
      _ = try await other.publish(
        TestContent(size: 300_000), to: .name(parent: .root, FileName("a"), new), durable: true,
        progress: nil)
      let near = try await setting.lay(
        Array("near".utf8), [LayerExtent(10..<14)], cut: size, size: size, over: far)
      let version = try #require(near.version)
      #expect(version.size == size && version.storedBytes < 1000)
      #expect(try await other.read(version, 10..<14) == Array("near".utf8))
      #expect(try await other.read(version, size - 3..<size) == Array("far".utf8))
      #expect(try await other.read(version, 0..<4) == [0, 0, 0, 0])
      await other.close()
    }
  }

  /// What is open can be kept beside what others made of the file.
  @Test func aLayerOverWhatIsPinnedIsKept() async throws {
    try await ClientSetting.run(arguments: Self.atOnce) { setting in
      let (client, other) = (setting.client, try await setting.another())
      var mine = try await file(client)
      client.pin(try mine.version)
      await client.untilPinned()
      let gone = try await LayeredFile("b", base: 200_000, by: client, seed: 4)
      for name in ["a", "b", "c"] {
        let new = NewInode(kind: .regular, mode: 0o644, owner: 0, group: 0)
        _ = try await other.publish(
          TestContent(size: 300_000), to: .name(parent: .root, FileName(name), new), durable: true,
          progress: nil)
      }
      try await untilGone(try gone.version.contents, client)
      try await mine.write([200_000..<390_000], by: client)
      try await mine.check(by: other)
      #expect(try await other.list(.root, .current).count == 4)
      await other.close()
    }
  }
}
