import DFSCore
import DFSTestSupport
import DFSWire
import Synchronization
import Testing

@testable import DFSClient

/// Transfers to and from four real servers.
@Suite(.serialized) struct TransferTests {
  @Test func whatWasUploadedIsRead() async throws {
    try await TransferSetting.run { setting in
      for size: UInt64 in [131_076, 262_144, 1_000_003, 8 << 20, (8 << 20) + 5] {
        let content = TestContent(size: size, seed: size)
        let stored = Mutex<[UInt64]>([])
        let md5 = try await setting.transfer.md5(of: content)
        let id = VersionID.random()
        let (digests, _) = try await setting.transfer.upload(
          content, version: id, placement: Placement(md5: md5), durable: true
        ) { bytes in stored.withLock { $0.append(bytes) } }
        #expect(stored.withLock { $0.last } == size)
        #expect(stored.withLock { $0 == $0.sorted() })
        let version = Content(
          id: id, size: size, md5: md5, placement: Placement(md5: md5), partDigests: digests)
        try await setting.check(version, is: content)
        try await setting.check(version, is: content, step: 100_000)
        let beyond = try await setting.transfer.read(version, size..<size + 10)
        #expect(beyond.isEmpty)
        let found = try await setting.transfer.copies([id])
        #expect(found[id] == Placement(md5: md5))
      }
    }
  }

  @Test func everySingleServerMayBeKilledWhileReading() async throws {
    try await TransferSetting.run(readCacheBytes: 1 << 20) { setting in
      let content = TestContent(size: 6 << 20)
      let version = try await setting.upload(content)
      for server in ServerIndex.all {
        try await setting.servers.kill(server)
        try await setting.check(version, is: content, within: .seconds(2))
        try await setting.servers.restart(server)
        try await eventually("\(server) is back") { setting.cluster.reachable == .all }
      }
    }
  }

  @Test func aFrozenServerIsOvertakenThenNotAskedThenTakenBack() async throws {
    try await TransferSetting.run(readCacheBytes: 1 << 20) { setting in
      let content = TestContent(size: 12 << 20)
      let version = try await setting.upload(content)
      let frozen = ServerIndex(1)
      setting.servers.freeze(frozen)
      try await setting.check(version, is: content, within: .seconds(2))
      try await eventually("\(frozen) is quarantined", within: .seconds(5)) {
        !setting.cluster.reachable.contains(frozen)
      }
      await #expect(throws: DFSError.self) {
        try await setting.cluster.ask(frozen, Request.Ping(), timeout: .seconds(5))
      }
      try await setting.check(version, is: content, within: .seconds(1))
      setting.servers.thaw(frozen)
      try await eventually("\(frozen) answers again", within: .seconds(5)) {
        setting.cluster.reachable.contains(frozen)
      }
      try await setting.check(version, is: content)
    }
  }

  /// Who uploads has asked just before whether enough servers answer; one may be lost since.
  @Test func anUploadGoesOnWithoutOneServerAndNamesTwo() async throws {
    try await TransferSetting.run { setting in
      let content = TestContent(size: 1 << 20)
      for (server, others) in [(2, 3), (3, 2)] {
        try await setting.servers.kill(ServerIndex(server))
        try await eventually("its absence is noticed") {
          setting.cluster.reachable.count == others
        }
        do {
          let version = try await setting.upload(content)
          let lost = ServerSet([ServerIndex(2)])
          #expect(version.placement == Placement(md5: version.md5).substituting(for: lost))
          try await setting.check(version, is: content)
        } catch let error as DFSError {
          #expect(others == 2 && error.code == .serversMissing && error.message.contains("DFS"))
        }
      }
    }
  }

  /// One server may be lost on the way: the one opposite substitutes for it. A second one may not.
  @Test(arguments: [1, 2]) func serversKilledDuringAnUpload(_ count: Int) async throws {
    try await TransferSetting.run { setting in
      let content = TestContent(size: 64 << 20)
      let md5 = try await setting.transfer.md5(of: content)
      let placement = Placement(md5: md5)
      let (begun, id) = (Promise<Void>(), VersionID.random())
      let upload = Task { [transfer = setting.transfer] in
        try await transfer.upload(content, version: id, placement: placement, durable: false) { _ in
          begun.fulfil(.success(()))
        }
      }
      try await begun.value()
      for server in [ServerIndex(3), ServerIndex(0)].prefix(count) {
        try await setting.servers.kill(server)
      }
      do {
        let (digests, place) = try await upload.value
        #expect(count == 1 && place == placement.substituting(for: ServerSet([ServerIndex(3)])))
        let version = Content(
          id: id, size: content.size, md5: md5, placement: place, partDigests: digests)
        try await setting.check(version, is: content)
      } catch let error as DFSError {
        #expect(count == 2 && error.message.contains("DFS"), "\(error)")
      }
    }
  }

  @Test func oppositeServersAreEnoughAndNeighboursAreNot() async throws {
    try await TransferSetting.run(readCacheBytes: 0) { setting in
      let content = TestContent(size: 1 << 20)
      let version = try await setting.upload(content)
      for server in [ServerIndex(0), ServerIndex(2)] { try await setting.servers.kill(server) }
      try await setting.check(version, is: content)
      try await setting.servers.restart(ServerIndex(0))
      try await setting.servers.kill(ServerIndex(1))
      try await eventually("two are up") {
        setting.cluster.reachable == ServerSet([ServerIndex(0), ServerIndex(3)])
      }
      let lost = version.placement.missingParts(on: setting.cluster.reachable)
      #expect(lost.count == 1)
      let range = version.split.range(of: lost[0])
      do {
        _ = try await setting.transfer.read(version, range)
        Issue.record("a lost part was read")
      } catch let error as DFSError {
        #expect(error.code == .incomplete)
        #expect(error.message.contains("DFS2") && error.message.contains("DFS3"))
      }
    }
  }
}
