import DFSCore
import DFSSystem
import DFSTestSupport
import Foundation
import Synchronization
import Testing

@testable import DFSClient

/// Damaged copies, and how much memory a transfer takes.
@Suite(.serialized, .timeLimit(.minutes(5))) struct TransferDamageTests {
  /// Changes a byte in every copy of `version` that a server keeps.
  private func damage(
    _ version: Content, on server: ServerIndex, _ servers: FourServers
  ) throws {
    let parts = "\(servers.directory(of: server))/\(FourServers.user)/parts"
    let folder = "\(parts)/\(version.id.description.prefix(2))"
    let names = try FileManager.default.contentsOfDirectory(atPath: folder)
      .filter { $0.hasPrefix(version.id.description) }
    #expect(names.count == 2)
    for name in names {
      let file = try FileHandle(forUpdating: URL(fileURLWithPath: "\(folder)/\(name)"))
      try file.seek(toOffset: 100_000)
      let byte = try #require(try file.read(upToCount: 1)?.first)
      try file.seek(toOffset: 100_000)
      try file.write(contentsOf: Data([byte ^ 1]))
      try file.close()
    }
  }

  @Test func aDamagedCopyIsReadFromTheOtherReplicaAndTwoAreAnError() async throws {
    try await TransferSetting.run(readCacheBytes: 0) { setting in
      let content = TestContent(size: 3 << 20)
      let version = try await setting.upload(content)
      for server in [ServerIndex(0), ServerIndex(2)] {
        try damage(version, on: server, setting.servers)
      }
      try await setting.check(version, is: content)
      try damage(version, on: ServerIndex(1), setting.servers)
      do {
        for part in PartIndex.all {
          _ = try await setting.transfer.read(version, version.split.range(of: part))
        }
        Issue.record("damaged bytes were read")
      } catch let error as DFSError {
        #expect(error.code == .damaged, "\(error)")
      }
    }
  }

  /// Found by the simulation: the only copy of a part may be one that its server has just let go of.
  @Test func aCopyIsAlsoBroughtFromAServerThatLetGoOfIt() async throws {
    try await TransferSetting.run(readCacheBytes: 0) { setting in
      let version = try await setting.upload(TestContent(size: 3 << 20))
      let part = PartIndex(0)
      let holders = version.placement.holders(of: part)
      let others = ServerSet.all.subtracting(holders)
      // As if the row said that the two which have nothing were the holders.
      var moved = version
      moved.placement = Placement(
        holders: PartIndex.all.map { $0 == part ? others : version.placement.holders(of: $0) })
      let mover = CopyMover(
        transfer: setting.transfer, pace: Pace(bytesPerSecond: nil, SystemEnvironment()))
      let target = try #require(others.servers.first)
      let brought = try await mover.bring(part, of: moved, to: target)
      #expect(brought == version.split.length(of: part))
      let range = 0..<UInt64(Limits.blockBytes)
      let there = try await setting.transfer.readCopy(moved, part, on: target, range)
      let here = try await setting.transfer.readCopy(
        version, part, on: try #require(holders.servers.first), range)
      #expect(there.blocks == here.blocks)
    }
  }

  /// DFS_TEST_LARGE_BYTES makes it larger.
  @Test func anUploadReadsNotFarAheadOfWhatIsStored() async throws {
    let environment = ProcessInfo.processInfo.environment
    let size = environment["DFS_TEST_LARGE_BYTES"].flatMap { UInt64($0) } ?? 96 << 20
    try await TransferSetting.run { setting in
      let content = TestContent(size: size)
      let placement = Placement(md5: MD5Digest.of([]))
      let furthest = Mutex<UInt64>(0)
      let before = FourServers.residentBytes(process: getpid())
      let peak = Mutex(0)
      let id = VersionID.random()
      let (digests, _) = try await setting.transfer.upload(
        content, version: id, placement: placement, durable: true
      ) { stored in
        let ahead = content.reads.bytes.load(ordering: .relaxed) - stored
        furthest.withLock { $0 = max($0, ahead) }
        peak.withLock { $0 = max($0, FourServers.residentBytes(process: getpid())) }
      }
      #expect(content.reads.bytes.load(ordering: .relaxed) == size)
      let limit = Limits.partCount * (PartUpload.piecesUnderWay + 1) * Limits.chunkBytes
      #expect(furthest.withLock { $0 } <= UInt64(limit))
      if environment["DFS_TEST_LARGE_BYTES"] != nil {
        #expect(peak.withLock { $0 } - before < 100 << 20)
        for server in ServerIndex.all {
          #expect(setting.servers.residentBytes(of: server) < 150 << 20)
        }
      }
      let version = Content(
        id: id, size: size, md5: MD5Digest.of([]), placement: placement, partDigests: digests)
      try await setting.check(version, is: content)
    }
  }
}
