import DFSCore
import DFSReplication
import DFSStoreFixtures
import DFSTestSupport
import Foundation
import Testing

@testable import DFSStore

/// What happens to a user whose database is damaged, to the others, and how it goes on.
@Suite struct RepairTests {
  private static let bob = Fixture.name("bob")
  private let place = TemporaryDirectory()

  private var database: String { place.path + "/alice/namespace.sqlite" }

  /// Alice with some files, closed, and Bob.
  private func fill(_ options: StoreOptions = StoreOptions()) async throws -> VersionID {
    let store = try Fixture.open(place.path, options: options)
    let user = try await store.user(Fixture.alice)
    try await user.begin()
    let version = VersionID.random()
    try await user.put(partID(version, 0), Fixture.bytes(50_000))
    try await user.apply(
      Fixture.create(1, "large", version: version), held: [partID(version, 0)])
    for number in 2...30 as ClosedRange<UInt64> {
      try await user.apply(
        Fixture.create(number, "f\(number)", value: Fixture.bytes(500, seed: number)))
    }
    try await store.user(Self.bob).begin()
    await store.close()
    return version
  }

  private func damage() throws {
    let bytes = try Data(contentsOf: URL(fileURLWithPath: database))
    let mark = Data(Fixture.bytes(500, seed: 7).prefix(50))
    // The row of the inode, and the change in the log.
    var place = bytes.startIndex
    while let range = bytes.range(of: mark, in: place..<bytes.endIndex) {
      try DamagedDatabase.flip(database, at: range.lowerBound + 20, bit: 1)
      place = range.upperBound
    }
    #expect(place > bytes.startIndex)
  }

  /// The writer may still be leaving the database when it has answered.
  private func rest(_ user: UserStore) async throws {
    try await eventually("the database is closed") {
      try await user.rest()
      return !user.handle.isOpen
    }
  }

  @Test func aDamagedDatabaseIsRefusedAndOthersGoOn() async throws {
    _ = try await fill()
    try damage()
    let store = try Fixture.open(place.path)
    await store.openUsers()
    for _ in 1...2 {
      do {
        _ = try await store.user(Fixture.alice)
        Issue.record("it was opened")
      } catch let error as DFSError {
        #expect(error.code == .damaged)
        #expect(error.message.contains("dfs repair \(place.path) --quarantine"), "\(error)")
      }
    }
    let bob = try await store.user(Self.bob)
    #expect(try await bob.apply(Fixture.create(1, "b")) == .applied(bob.head()))
    await store.close()
  }

  @Test func damageThatComesWhileRunningIsNoticedAtUse() async throws {
    _ = try await fill()
    let store = try Fixture.open(place.path)
    let user = try await store.user(Fixture.alice)
    try damage()
    #expect(user.failure == nil)
    #expect(await failure { _ = try await user.query([.everything(after: nil)]) } == .damaged)
    #expect(user.failure?.code == .damaged)
    #expect(await failure { _ = try await user.query([.inode(.root)]) } == .damaged)
    #expect(await failure { try await user.apply(Fixture.create(31, "b")) } == .damaged)
    #expect(await failure { _ = try await store.user(Fixture.alice) } == .damaged)
    _ = try await store.user(Self.bob).query([.inode(.root)])
    await store.close()
  }

  @Test func theScrubChecksTheDatabase() async throws {
    _ = try await fill()
    let store = try Fixture.open(place.path)
    let user = try await store.user(Fixture.alice)
    try damage()
    await user.scrub(bytesPerSecond: nil)
    #expect(user.failure?.code == .damaged)
    await store.close()
  }

  /// A database that was closed because others are used is not taken for granted when it is opened
  /// again.
  @Test func aDatabaseThatIsReplacedWhileItRestsIsRefused() async throws {
    _ = try await fill()
    let old = try Data(contentsOf: URL(fileURLWithPath: database))
    let store = try Fixture.open(place.path)
    let user = try await store.user(Fixture.alice)
    try await user.apply(Fixture.create(31, "more"))
    try await rest(user)
    try old.write(to: URL(fileURLWithPath: database))
    #expect(await failure { _ = try await user.query([.inode(.root)]) } == .damaged)
    #expect(user.failure != nil)
    await store.close()
  }

  @Test func aDatabaseThatVanishesWhileItRestsIsRefused() async throws {
    _ = try await fill()
    let store = try Fixture.open(place.path)
    let user = try await store.user(Fixture.alice)
    try await rest(user)
    try FileManager.default.removeItem(atPath: database)
    #expect(await failure { _ = try await user.query([.inode(.root)]) } == .damaged)
    await store.close()
    #expect(!FileManager.default.fileExists(atPath: database))
  }

  @Test func repairSaysWhatIsWrongAndSetsAside() async throws {
    let version = try await fill()
    let good = try Repair(directory: place.path)
    #expect(try good.users() == [Fixture.alice, Self.bob])
    // An inode and an entry for each file.
    #expect(try good.check(Fixture.alice, quarantines: true).verdict == .good(rows: 60))
    #expect(await failure { _ = try Fixture.open(place.path) } == .busy)
    try damage()
    let before = try Data(contentsOf: URL(fileURLWithPath: database))
    let looked = try good.check(Fixture.alice, quarantines: false)
    guard case .damaged(let error) = looked.verdict else {
      Issue.record("it is \(looked.verdict)")
      return
    }
    #expect(error.message.contains("checksum"), "\(error)")
    #expect(looked.quarantined == [])
    #expect(try Data(contentsOf: URL(fileURLWithPath: database)) == before)
    let moved = try good.check(Fixture.alice, quarantines: true)
    let kept = try #require(moved.quarantined.first { $0.hasSuffix(".sqlite") })
    #expect(try Data(contentsOf: URL(fileURLWithPath: kept)) == before)
    #expect(try good.check(Fixture.alice, quarantines: true).verdict == .absent)
    #expect(try good.check(Self.bob, quarantines: true).quarantined == [])
    _ = consume good
    try await refilled(version)
  }

  /// Blank, then refilled: the large copy that is here as a file is used again.
  private func refilled(_ version: VersionID) async throws {
    let store = try Fixture.open(place.path)
    let user = try await store.user(Fixture.alice)
    #expect(user.head() == .blank)
    let small = VersionID.random()
    let rows = [(InodeID(1000), version), (InodeID(1001), small)].map { inode, version in
      DFSCore.Row(
        key: .inode(inode), change: 5,
        value: RowValue(bytes: [1], content: Fixture.content(version)))
    }
    let digest = rows.reduce(into: RowDigest.empty) { $0 += RowDigest(of: $1) }
    let view = Fixture.view(9)
    _ = try await user.namespace(.prepare(view), parts: [], held: [], durable: false)
    _ = try await user.refillBegin(session: 1, view)
    try await user.refillRows(session: 1, rows)
    let head = Head(view: view, number: 5, digest: digest)
    #expect(try await user.refillEnd(session: 1, view, to: head) == .installed(head))
    let missing = try await user.missing(session: 1, after: nil, limit: 9, claims: false).copies
    // Part 1 of the large version is a file here; its part 2 and the small copies are not.
    let expected = [partID(version, 1), partID(small, 0), partID(small, 1)]
    #expect(Set(missing.map(\.id)) == Set(expected))
    #expect(try await user.get(partID(version, 0)) == Fixture.bytes(50_000))
    #expect(try await user.health().damaged == 0)
    await store.close()
  }

  @Test func repairRefusesADirectoryInUseOrOfNobody() async throws {
    _ = try await fill()
    let store = try Fixture.open(place.path)
    #expect(await failure { _ = try Repair(directory: place.path) } == .busy)
    await store.close()
    let other = TemporaryDirectory()
    #expect(await failure { _ = try Repair(directory: other.path) } == .configuration)
    let repair = try Repair(directory: place.path)
    #expect(
      await failure { _ = try repair.check(Fixture.name("carol"), quarantines: false) } == .notFound
    )
  }
}
