import DFSCore
import DFSReplication
import DFSStore
import DFSStoreFixtures
import Foundation
import Testing

@testable import DFSRescue

/// Rebuilding from directories of servers that do not run.
@Suite struct RescueTests {
  private let place = RescuePlace()

  @Test func aTreeComesBackFromThreeDirectories() async throws {
    let files = ["empty": 0, "tiny": 3, "small": 5000, "large": 700_000]
    try await place.fill(files)
    let summary = try place.rescue([0, 2, 3])
    #expect(summary.isComplete)
    #expect(summary.files == 4)
    #expect(summary.bytes == 705_003)
    for (name, size) in files { #expect(place.rebuilt(name) == RescuePlace.content(size)) }
    #expect(place.events.isEmpty)
  }

  @Test func oppositeDirectoriesAreEnoughAndNeighboursAreNot() async throws {
    try await place.fill(["small": 5000, "large": 700_000])
    #expect(try place.rescue([1, 3]).isComplete)
    #expect(try place.rescue([0, 2]).isComplete)
    let summary = try place.rescue([0, 1])
    #expect(!summary.isComplete)
    #expect(summary.incomplete == 2)
    for loss in place.losses {
      let text = String(decoding: loss.path, as: UTF8.self)
      let placement = Placement(
        md5: MD5Digest.of(RescuePlace.content(text == "small" ? 5000 : 700_000)))
      let here = ServerSet([ServerIndex(0), ServerIndex(1)])
      #expect(loss.missingParts == placement.missingParts(on: here))
      #expect(place.rebuilt(text) == nil)
    }
  }

  @Test func whatIsMissingIsZerosIfAskedFor() async throws {
    try await place.fill(["large": 700_000])
    let summary = try place.rescue([0, 1], keepsPartial: true)
    #expect(summary.incomplete == 1)
    let loss = try #require(place.losses.first)
    #expect(loss.isPartlyWritten)
    var expected = RescuePlace.content(700_000)
    for part in loss.missingParts {
      for index in Split(size: 700_000).range(of: part) { expected[Int(index)] = 0 }
    }
    #expect(place.rebuilt("large") == expected)
  }

  /// Both copies of every part are damaged, at different places.
  @Test func damagedCopiesMakeAWholeOneTogether() async throws {
    try await place.fill(["large": 1_200_000])
    for (index, server) in [0, 1, 2, 3].enumerated() {
      for path in place.partFiles(of: server) {
        try place.flip(path, at: server.isMultiple(of: 2) ? 1000 : 70_000 + index)
      }
    }
    let summary = try place.rescue([0, 1, 2, 3])
    #expect(summary.isComplete)
    #expect(summary.damagedCopies > 0)
    #expect(place.rebuilt("large") == RescuePlace.content(1_200_000))
  }

  @Test func aCopyWithoutItsChecksumsIsProvenByItsBytes() async throws {
    try await place.fill(["large": 700_000])
    for server in [0, 2] {
      for path in place.partFiles(of: server) {
        let length = try #require(FileManager.default.contents(atPath: path)?.count)
        try place.flip(path, at: length - 70)
      }
    }
    #expect(try place.rescue([0, 2]).isComplete)
    #expect(place.rebuilt("large") == RescuePlace.content(700_000))
  }

  @Test func aQuarantinedCopyStillCounts() async throws {
    try await place.fill(["large": 700_000])
    for server in [0, 2] {
      for path in place.partFiles(of: server) {
        let name = URL(fileURLWithPath: path).lastPathComponent
        try FileManager.default.moveItem(
          atPath: path, toPath: place.directory(server) + "/alice/damaged/\(name).1700000000")
      }
    }
    #expect(try place.rescue([0, 2]).isComplete)
  }

  @Test func theGreatestHeadIsTheTruth() async throws {
    try await place.fill(["a": 100])
    try await place.remove("a", on: [0, 1, 2])
    #expect(try place.rescue([3, 1]).files == 0)
    #expect(try place.rescue([3]).files == 0)
    #expect(place.losses.count == 1)
  }

  @Test func damagedDatabasesAreSkippedAndTheirCopiesUsed() async throws {
    try await place.fill(["small": 5000, "large": 700_000])
    try place.spoil("large", in: 0)
    let summary = try place.rescue([0, 2])
    #expect(summary.isComplete)
    #expect(summary.damagedDatabases == 1)
    try Data("no database".utf8).write(
      to: URL(fileURLWithPath: place.directory(0) + "/alice/namespace.sqlite"))
    let again = try place.rescue([0, 2])
    #expect(again.damagedDatabases == 1)
    #expect(place.rebuilt("large") == RescuePlace.content(700_000))
  }

  /// Every database has lost a row, each another one: together they have all.
  @Test func damagedDatabasesAreWholeTogether() async throws {
    try await place.fill(["first-file": 5000, "second-file": 5001])
    try place.spoil("first-file", in: 0)
    try place.spoil("second-file", in: 2)
    let summary = try place.rescue([0, 2])
    #expect(summary.isComplete)
    #expect(summary.damagedDatabases == 2)
    #expect(place.rebuilt("first-file") == RescuePlace.content(5000))
    #expect(place.rebuilt("second-file") == RescuePlace.content(5001))
  }

  /// The row of an entry is lost everywhere: the file is there, but nobody knows its name.
  @Test func whatLostItsNameIsKept() async throws {
    try await place.fill(["first-file": 5000, "second-file": 5001])
    for server in [0, 2] { try place.spoil("first-file", in: server) }
    let summary = try place.rescue([0, 2])
    #expect(!summary.isComplete)
    #expect(!summary.isNamespaceWhole)
    #expect(summary.nameless == 1)
    let number = InodeID(change: 1, index: 0)
    #expect(place.rebuilt("lost+found/\(number)") == RescuePlace.content(5000))
    #expect(place.rebuilt("second-file") == RescuePlace.content(5001))
  }

  /// Bytes, pages and the ends of both databases are damaged at random: a rescue ends in order, and
  /// what it writes under a name is what was there.
  @Test func whateverIsDamagedNothingWrongIsWritten() async throws {
    let sizes = Dictionary(uniqueKeysWithValues: (0..<60).map { ("file-\($0)", $0 * 97) })
    try await place.fill(sizes)
    var generator = SeededGenerator(state: 1)
    for round in 0..<15 {
      try place.damageDatabases(of: [1, 3], rounds: 1 + round % 5, &generator)
      let code = await failure { _ = try place.rescue([11, 13]) }
      #expect([nil, .notFound].contains(code), "round \(round)")
      for (name, size) in sizes {
        guard let bytes = place.rebuilt(name) else { continue }
        #expect(bytes == RescuePlace.content(size), "\(name) in round \(round)")
      }
    }
  }

  @Test func aDatabaseThatWasCutOffGivesWhatIsLeft() async throws {
    try await place.fill(
      Dictionary(uniqueKeysWithValues: (0..<60).map { ("file-\($0)", 4000 + $0) }))
    let path = place.directory(0) + "/alice/namespace.sqlite"
    let bytes = try Data(contentsOf: URL(fileURLWithPath: path))
    try bytes.prefix(bytes.count * 6 / 10).write(to: URL(fileURLWithPath: path))
    let summary = try place.rescue([0])
    #expect(summary.damagedDatabases == 1)
    #expect(!summary.isNamespaceWhole)
    #expect(place.losses.count + summary.nameless > 0)
  }

  /// What is in a directory counts, whatever its identity is worth.
  @Test func anIdentityThatIsDamagedOrCannotBeReadIsSkipped() async throws {
    try await place.fill(["small": 5000, "large": 700_000])
    let (damaged, unreadable) = (
      place.directory(0) + "/.dfs/identity", place.directory(2) + "/.dfs/identity"
    )
    try Data("format 1\n".utf8).write(to: URL(fileURLWithPath: damaged))
    try FileManager.default.removeItem(atPath: unreadable)
    // Reading a directory fails as reading a bad sector does.
    try FileManager.default.createDirectory(
      atPath: unreadable, withIntermediateDirectories: false)
    #expect(try place.rescue([0, 2]).isComplete)
  }

  @Test func whatIsRefused() async throws {
    try await place.fill(["a": 100])
    let missing = place.root + "/none"
    #expect(await failure { _ = try Rescue(directories: [missing]) } == .notFound)
    let output = place.root + "/full"
    try FileManager.default.createDirectory(
      atPath: output + "/x", withIntermediateDirectories: true)
    #expect(await failure { _ = try place.rescue([0, 1, 2], to: output) } == .exists)
    let inside = place.directory(0) + "/out"
    #expect(await failure { _ = try place.rescue([0, 1, 2], to: inside) } == .configuration)
    #expect(!FileManager.default.fileExists(atPath: inside))
    let store = try Fixture.open(place.directory(2), name: "DFS3")
    #expect(await failure { _ = try place.rescue([0, 1, 2]) } == .busy)
    await store.close()
    #expect(try place.rescue([0, 1, 2]).files == 1)
  }

  @Test func nothingInTheDirectoriesChanges() async throws {
    try await place.fill(["small": 5000, "large": 700_000])
    let before = try place.fingerprint()
    _ = try place.rescue([0, 1, 2, 3])
    _ = try place.rescue([0, 1])
    #expect(try place.fingerprint() == before)
  }

  /// A server that was killed has its last changes only in the write-ahead log.
  @Test func theWriteAheadLogIsRead() async throws {
    try await place.fill(["small": 5000], leavingLog: true)
    let log = place.directory(0) + "/alice/namespace.sqlite-wal"
    #expect((FileManager.default.contents(atPath: log)?.count ?? 0) > 0)
    #expect(try place.rescue([0, 1, 2]).isComplete)
    #expect(place.rebuilt("small") == RescuePlace.content(5000))
  }

  @Test func digestsOfListsInPieces() {
    let blocks = (0..<40_000).map { BlockChecksum(UInt64($0) &* 0x9e37_79b9_7f4a_7c15) }
    for cut in [0, 1, 31, 4096, 40_000] {
      var hasher = BlockChecksumsHasher()
      hasher.update(Array(blocks[..<cut]))
      hasher.update(blocks[cut...].flatMap { $0.value.bigEndianBytes })
      #expect(hasher.finish() == BlockChecksum.digest(of: blocks))
    }
    #expect(BlockChecksumsHasher().finish() == BlockChecksum.digest(of: []))
  }
}
