import DFSCore
import DFSTestSupport
import Synchronization
import Testing

@testable import DFSClient

/// Copies read back from four real servers: what is found good, and what is found wrong.
@Suite(.serialized, .timeLimit(.minutes(3))) struct ContentCheckTests {
  private static let block = UInt64(Limits.blockBytes)

  private func check(
    _ version: Content, _ setting: ClientSetting, all: Bool = true
  ) async throws -> FileCheck.Verdict {
    try await ContentCheck(version, on: setting.client, everyCopy: all).run()
  }

  /// Parts without bytes need no copies; small parts are kept in the database.
  @Test func everySizeIsGood() async throws {
    try await ClientSetting.run { setting in
      for size: UInt64 in [0, 1, 2, 3, 4, 5, 1000, 131_072, 131_076, 700_001, 9 << 20] {
        let version = try await setting.put("f\(size)", TestContent(size: size, seed: size))
        let parts = PartIndex.all.filter { version.split.length(of: $0) > 0 }.count
        for all in [true, false] {
          let progress = Mutex<UInt64>(0)
          let verdict = try await ContentCheck(
            version, on: setting.client, everyCopy: all,
            progress: { bytes in progress.withLock { $0 += bytes } }
          ).run()
          #expect(verdict.isGood, "\(size) bytes: \(verdict)")
          #expect(verdict.copies == 2 * parts)
          #expect(verdict.copiesRead == (all ? 2 * parts : parts))
          #expect(all ? verdict.bytesRead == 2 * size : verdict.bytesRead >= size)
          #expect(
            progress.withLock { $0 } == ContentCheck.bytes(of: version, everyCopy: all),
            "\(size) bytes")
        }
      }
    }
  }

  @Test func aFlippedByteOfOneCopyIsFoundWithItsPlace() async throws {
    try await ClientSetting.run { setting in
      let version = try await setting.put("f", TestContent(size: 12 << 20))
      let part = PartIndex(1)
      let (first, second) = try setting.holders(of: part, version)
      try setting.flip(part, of: version, on: second, at: 2_000_000)
      let verdict = try await check(version, setting)
      #expect(verdict.isReadable && verdict.lostParts.isEmpty)
      let bad = try #require(verdict.bad.first)
      #expect(verdict.bad.count == 1)
      #expect((bad.part, bad.server, bad.fault) == (part, second, .damaged))
      #expect(bad.offset == (3 << 20) + 2_000_000 / Self.block * Self.block)
      #expect(bad.badBytes == Self.block)
      // The second copy is only looked for without `everyCopy`, the first is read.
      #expect(try await check(version, setting, all: false).isGood)
      try setting.flip(part, of: version, on: first, at: 0)
      let both = try await check(version, setting, all: false)
      #expect(both.bad.map(\.server) == [first, second].sorted())
      #expect(both.lostParts == [part] && !both.isReadable)
    }
  }

  @Test func aCopyThatIsGoneOrCutOffIsFound() async throws {
    try await ClientSetting.run { setting in
      let version = try await setting.put("f", TestContent(size: 3 << 20))
      let part = PartIndex(3)
      let (first, second) = try setting.holders(of: part, version)
      try setting.truncate(part, of: version, on: first)
      let cut = try await check(version, setting, all: false)
      #expect(cut.bad.map(\.fault) == [.damaged] && cut.isReadable, "\(cut)")
      #expect(cut.bad.first?.badBytes == version.split.length(of: part))
      try setting.delete(part, of: version, on: second)
      for all in [false, true] {
        let verdict = try await check(version, setting, all: all)
        #expect(verdict.bad.count == 2 && verdict.lostParts == [part])
        let gone = try #require(verdict.bad.first { $0.server == second })
        #expect(gone.fault == .absent && gone.offset == nil)
      }
    }
  }

  @Test func serversThatAreDownHaveMissingCopies() async throws {
    try await ClientSetting.run { setting in
      let version = try await setting.put("f", TestContent(size: 2 << 20))
      let small = try await setting.put("s", TestContent(size: 5000))
      try await setting.kill(ServerIndex(1))
      for version in [version, small] {
        for all in [false, true] {
          let verdict = try await check(version, setting, all: all)
          #expect(verdict.isReadable && verdict.bad.count == 2, "\(verdict)")
          #expect(
            verdict.bad.allSatisfy { $0.server == ServerIndex(1) && $0.fault == .unreachable })
        }
      }
      try await setting.kill(ServerIndex(2))
      let lost = version.placement.missingParts(on: setting.client.cluster.reachable)
      let verdict = try await check(version, setting)
      #expect(lost.count == 1 && verdict.lostParts == lost)
      #expect(verdict.bad.count == 4)
    }
  }

  @Test func aServerThatFreezesIsGivenUpSoon() async throws {
    try await ClientSetting.run { setting in
      let version = try await setting.put("f", TestContent(size: 12 << 20))
      let frozen = ServerIndex(3)
      setting.servers.freeze(frozen)
      let clock = ContinuousClock()
      let begin = clock.now
      let verdict = try await check(version, setting)
      #expect(clock.now - begin < .seconds(10))
      #expect(verdict.isReadable && verdict.bad.count == 2, "\(verdict)")
      #expect(verdict.bad.allSatisfy { $0.server == frozen && $0.fault == .unreachable })
      setting.servers.thaw(frozen)
      try await eventually("\(frozen) answers again") {
        setting.client.cluster.reachable.contains(frozen)
      }
      #expect(try await check(version, setting).isGood)
    }
  }

  /// Copies that are well in themselves and are not what the row says.
  @Test func aWrongDigestAndAWrongMD5AreFound() async throws {
    try await ClientSetting.run { setting in
      let version = try await setting.put("f", TestContent(size: 6 << 20))
      var digests = version.partDigests
      digests[2] = BlockChecksum(digests[2].value ^ 1)
      let otherDigest = Content(
        id: version.id, size: version.size, md5: version.md5, placement: version.placement,
        partDigests: digests)
      let verdict = try await check(otherDigest, setting)
      #expect(verdict.lostParts == [PartIndex(2)] && verdict.bad.count == 2)
      let otherMD5 = Content(
        id: version.id, size: version.size, md5: MD5Digest.of([1]), placement: version.placement,
        partDigests: version.partDigests)
      let wrong = try await check(otherMD5, setting)
      #expect(wrong.wrong.map(\.problem) == [.md5(version.md5)])
      #expect(wrong.bad.isEmpty && !wrong.isReadable)
    }
  }

  /// The listing is old: the copies that it names were removed, the file's are good.
  @Test func aFileThatWasReplacedIsCheckedAsItIsNow() async throws {
    try await ClientSetting.run { setting in
      let old = try await setting.file("f", TestContent(size: 1 << 20))
      let version = try #require(old.content)
      let check = FileCheck(on: setting.client, everyCopy: true)
      for part in PartIndex.all {
        let (first, second) = try setting.holders(of: part, version)
        for server in [first, second] { try setting.delete(part, of: version, on: server) }
      }
      #expect(try await check.run(old)?.lostParts == PartIndex.all)
      let new = try await setting.put("f", TestContent(size: 2 << 20))
      let verdict = try #require(try await check.run(old))
      #expect(verdict.isGood && verdict.bytesRead == 2 * new.size, "\(verdict)")
      try await setting.client.unlink(.root, FileName("f"))
      let gone = try await check.run(old)
      #expect(gone == nil)
    }
  }

  @Test func oneCopyIsReadFromTheServerThatIsNamed() async throws {
    try await ClientSetting.run { setting in
      let content = TestContent(size: 8 << 20)
      let version = try await setting.put("f", content)
      let part = PartIndex(0)
      let (first, second) = try setting.holders(of: part, version)
      try setting.flip(part, of: version, on: first, at: Self.block + 1)
      let whole: Range<UInt64> = 0..<UInt64(Limits.chunkBytes)
      let extent = try await setting.client.readCopy(version, part, on: second, whole)
      #expect(Array(extent.blocks.joined()) == (try content.bytes(whole)))
      let one = try await setting.client.readCopy(version, part, on: first, 0..<Self.block)
      #expect(Array(one.blocks.joined()) == (try content.bytes(0..<Self.block)))
      await #expect(throws: DFSError.self) {
        try await setting.client.readCopy(version, part, on: first, whole)
      }
      let other = try #require(ServerIndex.all.first { $0 != first && $0 != second })
      do {
        _ = try await setting.client.readCopy(version, part, on: other, whole)
        Issue.record("\(other) gave what it does not have")
      } catch let error as DFSError {
        #expect(error.code == .notFound)
      }
      do {
        _ = try await setting.client.readCopy(version, part, on: second, 1..<whole.upperBound + 2)
        Issue.record("more than a frame was read")
      } catch let error as DFSError {
        #expect(error.code == .invalidArgument)
      }
    }
  }
}
