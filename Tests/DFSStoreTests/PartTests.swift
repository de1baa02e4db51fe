import DFSCore
import DFSStoreFixtures
import DFSSystem
import Foundation
import Testing

@testable import DFSStore

@Suite struct PartTests {
  private let place = TemporaryDirectory()

  private func user() async throws -> UserStore {
    try await Fixture.open(place.path).user(Fixture.alice)
  }

  private func path(_ id: PartID) -> String {
    "\(place.path)/alice/parts/\(id.description.prefix(2))/\(id)"
  }

  @Test(arguments: [0, 1, 65_535, 65_536, 65_537, 1 << 20, (1 << 20) + 1, 3_500_000])
  func aPartComesBackAsItWasPut(count: Int) async throws {
    let user = try await user()
    let id = partID(VersionID.random(), 1)
    let bytes = Fixture.bytes(count, seed: UInt64(count))
    try await user.put(id, bytes, durable: count % 2 == 0)
    #expect(try await user.get(id) == bytes)
    #expect(try await user.copies([id.version, VersionID.random()]) == [[PartIndex(1)], []])
    // Data, checksums, footer: the layout of docs/FORMATS.md.
    let file = try Data(contentsOf: URL(fileURLWithPath: path(id)))
    #expect(file.count == count + (count + 65_535) / 65_536 * 8 + 64)
    #expect(Array(file.prefix(count)) == bytes)
    let footer = Array(file.suffix(64))
    #expect(footer.prefix(8) == Array("DFSPART\n".utf8)[...])
    #expect(Array(footer[16..<32]) == id.version.bytes)
    #expect(footer[32] == 2)
    #expect(UInt64(bigEndian: footer[40..<48]) == UInt64(count))
  }

  @Test func aRangeIsAnsweredInWholeBlocks() async throws {
    let user = try await user()
    let id = partID(VersionID.random(), 0)
    let bytes = Fixture.bytes(300_000)
    try await user.put(id, bytes)
    let (extent, piece) = try await user.getPart(id, range: 70_000..<140_000)
    #expect(extent.offset == 65_536 && extent.length == 300_000 && extent.checksums.count == 2)
    #expect(piece == Array(bytes[65_536..<196_608]))
    let (last, tail) = try await user.getPart(id, range: 299_999..<900_000)
    #expect(last.offset == 262_144 && tail == Array(bytes[262_144...]))
    let (past, none) = try await user.getPart(id, range: 300_000..<400_000)
    #expect(past.length == 300_000 && none.isEmpty)
  }

  @Test func puttingTheSameAgainIsASuccessAndAnotherContentIsRefused() async throws {
    let user = try await user()
    let id = partID(VersionID.random(), 0)
    let bytes = Fixture.bytes(2_200_000)
    try await user.put(id, bytes)
    try await user.put(id, bytes, session: 2, durable: true)
    #expect(await failure { try await user.put(id, Fixture.bytes(2_200_000, seed: 9)) } == .exists)
    #expect(await failure { try await user.put(id, [1, 2, 3]) } == .exists)
    #expect(try await user.get(id) == bytes)
  }

  /// A copy that the disk does not give back must not stand in the way of a good one.
  @Test func aCopyThatCannotBeReadIsQuarantinedForANewOne() async throws {
    let user = try await user()
    let id = partID(VersionID.random(), 0)
    try await user.put(id, [1, 2, 3], durable: true)
    let path = user.copies.path(of: id)
    try FileManager.default.removeItem(atPath: path)
    // Reading a directory fails as reading a bad sector does: with an error that is no damage.
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: false)
    #expect(await failure { _ = try await user.get(id) } == .inputOutput)
    try await user.put(id, [1, 2, 3], durable: true)
    #expect(try await user.get(id) == [1, 2, 3])
  }

  /// A lack of descriptors must not have good copies quarantined.
  @Test(arguments: [EMFILE, ENFILE, ENOMEM]) func aLackOfDescriptorsIsNoBadDisk(code: Int32) {
    #expect(DFSError.system("opening", "a file", errno: code).code == .busy)
  }

  @Test func bytesThatDoNotMatchAreNotStored() async throws {
    let user = try await user()
    let id = partID(VersionID.random(), 0)
    let bytes = Fixture.bytes(100_000)
    var wrong = bytes
    wrong[70_000] ^= 1
    let extent = UserStore.extent(id, bytes, 0, bytes.count)
    #expect(
      await failure {
        try await user.putPart(session: 1, extent, bytes: wrong, durable: false)
      } == .damaged)
    #expect(await failure { _ = try await user.get(id) } == .notFound)
    // The next attempt works.
    try await user.put(id, bytes)
    #expect(try await user.get(id) == bytes)
  }

  @Test func piecesOutOfOrderWaitForTheirTurn() async throws {
    let user = try await user()
    let id = partID(VersionID.random(), 0)
    let bytes = Fixture.bytes(5 * Limits.chunkBytes + 17)
    try await withThrowingTaskGroup { group in
      for index in (0...5).reversed() {
        let start = index * Limits.chunkBytes
        let piece = Array(bytes[start..<min(start + Limits.chunkBytes, bytes.count)])
        group.addTask {
          try await user.putPart(
            session: 1, UserStore.extent(id, piece, start, bytes.count), bytes: piece,
            durable: false)
        }
      }
      try await group.waitForAll()
    }
    #expect(try await user.get(id) == bytes)
  }

  @Test func brokenSequencesAreRefused() async throws {
    let user = try await user()
    let id = partID(VersionID.random(), 0)
    let piece = Fixture.bytes(65_536)
    func put(_ offset: Int, _ length: Int, _ bytes: [UInt8]) async -> DFSError.Code? {
      await failure {
        try await user.putPart(
          session: 1, UserStore.extent(id, bytes, offset, length), bytes: bytes, durable: false)
      }
    }
    #expect(await put(0, 200_000, Array(piece.prefix(1000))) == .protocolViolation)
    #expect(await put(0, 1000, piece) == .protocolViolation)
    #expect(await put(0, 200_000, piece) == nil)
    #expect(await put(65_536, 300_000, piece) == .protocolViolation)
  }

  @Test func aSessionThatEndsTakesItsUploadsAlong() async throws {
    let user = try await user()
    let id = partID(VersionID.random(), 0)
    let piece = Fixture.bytes(Limits.chunkBytes)
    let extent = UserStore.extent(id, piece, 0, 2 * Limits.chunkBytes)
    try await user.putPart(session: 5, extent, bytes: piece, durable: false)
    let waiting = Task {
      let late = UserStore.extent(id, [1], 2 * Limits.chunkBytes - 1, 2 * Limits.chunkBytes)
      return await failure {
        try await user.putPart(session: 5, late, bytes: [1], durable: false)
      }
    }
    let tmp = place.path + "/alice/tmp"
    #expect(try FileManager.default.contentsOfDirectory(atPath: tmp).count == 1)
    let deadline = ContinuousClock.now + .seconds(5)
    while ContinuousClock.now < deadline {
      user.endSession(5)
      if try FileManager.default.contentsOfDirectory(atPath: tmp).isEmpty { break }
      try await Task.sleep(for: .milliseconds(5))
    }
    #expect(try FileManager.default.contentsOfDirectory(atPath: tmp).isEmpty)
    let late = await failure {
      try await user.putPart(session: 5, extent, bytes: piece, durable: false)
    }
    #expect(late == .cancelled)
    #expect(try FileManager.default.contentsOfDirectory(atPath: tmp).isEmpty)
    // It waited for its turn, or came after the end and was not whole blocks; it never succeeds.
    user.endSession(5)
    #expect(await waiting.value != nil)
  }

  @Test func damageIsToldWithFileAndBlock() async throws {
    let user = try await user()
    let id = partID(VersionID.random(), 0)
    try await user.put(id, Fixture.bytes(200_000))
    let handle = try FileHandle(forUpdating: URL(fileURLWithPath: path(id)))
    try handle.seek(toOffset: 131_072 + 5)
    try handle.write(contentsOf: [0xee, 0xee, 0xee])
    try handle.close()
    #expect(try await user.getPart(id, range: 0..<65_536).bytes.count == 65_536)
    do {
      _ = try await user.getPart(id, range: 131_072..<131_073)
      Issue.record("damage was not noticed")
    } catch let error as DFSError {
      #expect(error.code == .damaged)
      #expect(error.message.contains(path(id)) && error.message.contains("131072..<196608"))
    }
  }

  @Test func aFewBytesAreReadOfBlocksThatAreRight() async throws {
    let user = try await user()
    let id = partID(VersionID.random(), 0)
    let bytes = Fixture.bytes(200_000)
    try await user.put(id, bytes)
    #expect(user.copies.bytesNow(id, 5..<6) == nil, "it was not read before")
    for range in [65_530..<65_540, 0..<16_384, 199_999..<200_000] as [Range<UInt64>] {
      let expected = Array(bytes[Int(range.lowerBound)..<Int(range.upperBound)])
      #expect(try await user.partBytes(id, range: range) == expected)
      #expect(user.copies.bytesNow(id, range) == expected)
    }
    #expect(user.copies.bytesNow(id, 199_990..<200_500) == Array(bytes[199_990...]))
    #expect(user.copies.bytesNow(id, 300_000..<300_001) == [])
    // Another byte of the block than those that are read is wrong.
    let handle = try FileHandle(forUpdating: URL(fileURLWithPath: path(id)))
    try handle.seek(toOffset: 131_072 + 5)
    try handle.write(contentsOf: [0xee, 0xee, 0xee])
    try handle.close()
    #expect(user.copies.bytesNow(id, 140_000..<140_001) == nil)
    #expect(
      await failure { _ = try await user.partBytes(id, range: 140_000..<140_001) } == .damaged)
    #expect(user.copies.bytesNow(id, 5..<6) == [bytes[5]])
    // What is removed is not read, and its space is free.
    try await user.dropParts([id])
    #expect(user.copies.bytesNow(id, 5..<6) == nil)
    #expect(user.copies.openFiles.part(path(id)) == nil)
    #expect(await failure { _ = try await user.partBytes(id, range: 5..<6) } == .notFound)
  }

  @Test func noMoreFilesAreKeptOpenThanTheLimit() async throws {
    let user = try await user()
    let ids = (0..<OpenPartFiles.limit + 10).map { _ in partID(VersionID.random(), 0) }
    for id in ids {
      try await user.put(id, [1, 2, 3])
      #expect(try await user.partBytes(id, range: 1..<2) == [2])
    }
    let open = ids.filter { user.copies.openFiles.part(path($0)) != nil }
    #expect(open == Array(ids.suffix(OpenPartFiles.limit)))
    // One that is forgotten while it is being opened is not kept.
    let files = user.copies.openFiles
    let mark = files.mark
    let part = try #require(try user.copies.open(ids[0]))
    files.forget(path(ids[0]))
    files.keep(part, at: path(ids[0]), since: mark)
    #expect(files.part(path(ids[0])) == nil)
  }

  @Test(arguments: [0, 63, 100, 200_000])
  func aFileCutShortIsDamaged(length: Int) async throws {
    let user = try await user()
    let id = partID(VersionID.random(), 0)
    try await user.put(id, Fixture.bytes(200_000))
    #expect(truncate(path(id), off_t(length)) == 0)
    #expect(await failure { _ = try await user.get(id) } == .damaged)
    // A new copy takes its place; the damaged one is quarantined.
    try await user.put(id, Fixture.bytes(200_000))
    #expect(try await user.get(id) == Fixture.bytes(200_000))
    let aside = try FileManager.default.contentsOfDirectory(atPath: place.path + "/alice/damaged")
    #expect(aside.count == 1)
  }

  @Test func smallCopiesAreReadLikeFiles() async throws {
    let user = try await user()
    try await user.begin()
    let version = VersionID.random()
    let parts = [
      Fixture.inline(version, 0, Fixture.bytes(32 << 10)), Fixture.inline(version, 1, []),
    ]
    try await user.apply(Fixture.create(1, "a", version: version), parts: parts)
    #expect(try await user.get(partID(version, 0)) == Fixture.bytes(32 << 10))
    #expect(try await user.get(partID(version, 1)).isEmpty)
    #expect(try await user.copies([version]) == [[PartIndex(0), PartIndex(1)]])
    // They count as held, and can be put as files too.
    let ids = [partID(version, 0), partID(version, 1)]
    #expect(
      try await user.apply(Fixture.create(2, "b", version: version), held: ids)
        == .applied(user.head()))
    try await user.put(partID(version, 0), Fixture.bytes(32 << 10))
    #expect(try await user.get(partID(version, 0)) == Fixture.bytes(32 << 10))
  }

  @Test func droppedCopiesGoUnlessTheyAreNamed() async throws {
    let user = try await user()
    try await user.begin()
    let kept = partID(VersionID.random(), 0)
    let dropped = partID(VersionID.random(), 0)
    try await user.put(kept, [1, 2, 3])
    try await user.put(dropped, [1, 2, 3])
    try await user.apply(Fixture.create(1, "a", version: kept.version), held: [kept])
    try await user.dropParts([kept, dropped])
    #expect(try await user.get(kept) == [1, 2, 3])
    #expect(await failure { _ = try await user.get(dropped) } == .notFound)
  }

  @Test func spaceCountsCopiesAndRows() async throws {
    let user = try await user()
    try await user.begin()
    let before = try await user.space()
    try await user.put(partID(VersionID.random(), 0), Fixture.bytes(500_000))
    try await user.apply(Fixture.create(1, "a"))
    let after = try await user.space()
    #expect(after.used >= before.used + 500_000)
    #expect(after.inodes == 1)
    #expect(after.available > 0 && after.available <= after.total)
  }
}
