import DFSCore
import DFSStoreFixtures
import DFSTestSupport
import Foundation
import GRDB
import Synchronization
import Testing

@testable import DFSStore

/// What a server knows to lack: from which moment on, and until when.
@Suite struct MissingTests {
  private let place = TemporaryDirectory()

  private func user() async throws -> UserStore {
    var options = StoreOptions()
    (options.keepReplacedSeconds, options.keepOrphansSeconds) = (0, 0)
    options.collectSeconds = 3600
    let user = try await Fixture.open(place.path, options: options).user(Fixture.alice)
    if user.head() == .blank { try await user.begin() }
    return user
  }

  private func missing(_ user: UserStore) async throws -> [PartID] {
    try await user.missing(session: 1, after: nil, limit: 100, claims: false).copies.map(\.id)
  }

  /// A file that asks DFS1 for parts 1 and 2.
  private func file(_ user: UserStore, with parts: [Int]) async throws -> VersionID {
    let version = VersionID.random()
    for part in parts { try await user.put(partID(version, part), Fixture.bytes(100_000)) }
    try await user.apply(
      Fixture.create(user.head().number + 1, "\(version)", version: version),
      held: parts.map { partID(version, $0) })
    return version
  }

  @Test func whatARowAsksForAndIsNotHereIsMissingUntilItComes() async throws {
    let user = try await user()
    let version = try await file(user, with: [0])
    #expect(try await missing(user) == [partID(version, 1)])
    try await user.put(partID(version, 1), Fixture.bytes(100_000), session: 2)
    #expect(try await missing(user).isEmpty)
    let health = try await user.health()
    #expect(health.copies == 2 && health.missing == 0)
  }

  /// Thousands of files of a few bytes would take thousands of blocks and inodes of the disk.
  @Test func aSmallCopyThatIsAskedForIsKeptInTheDatabase() async throws {
    let user = try await user()
    let version = VersionID.random()
    let id = partID(version, 1)
    let bytes = Fixture.bytes(1000)
    try await user.apply(Fixture.create(user.head().number + 1, "small", version: version))
    #expect(try await missing(user).contains(id))
    try await user.put(id, bytes, session: 2)
    #expect(try await !missing(user).contains(id))
    #expect(!user.copies.exists(id))
    #expect(try await user.get(id) == bytes)
    // One that is wrong is refused, and changes nothing.
    let wrong = PartExtent(id: id, length: 1000, offset: 0, checksums: [BlockChecksum(1)])
    let refused = await failure {
      try await user.putPart(session: 2, wrong, bytes: Fixture.bytes(1000), durable: true)
    }
    #expect(refused == .damaged)
    #expect(try await user.get(id) == bytes)
    // One that no row asks for is a file, which is removed if none ever does.
    let other = partID(VersionID.random(), 1)
    try await user.put(other, bytes)
    #expect(user.copies.exists(other))
  }

  @Test func aFullDiskIsToldWhereASmallCopyIsToBeKept() async throws {
    let user = try await user()
    let version = VersionID.random()
    try await user.apply(Fixture.create(user.head().number + 1, "small", version: version))
    try await user.writer.exclusive { _, database in
      try database.pool.writeWithoutTransaction { db in
        try db.execute(sql: "PRAGMA max_page_count = 1")
      }
    }
    let full = await failure {
      try await user.put(partID(version, 1), Fixture.bytes(30_000), session: 2)
    }
    #expect(full == .noSpace)
    #expect(try await missing(user).contains(partID(version, 1)))
  }

  /// Healing and collecting write too: without changes of the namespace the log would only grow.
  @Test func theLogIsMovedThoughNothingIsChanged() async throws {
    let user = try await user()
    let inode = InodeID(change: 1, index: 0)
    for _ in 0..<20 {
      try await user.change { tables in
        for _ in 0..<2000 { _ = try tables.want(partID(VersionID.random(), 0), for: inode) }
      }
    }
    let path = "\(place.path)/alice/namespace.sqlite"
    try await eventually("the log is moved into the database", within: .seconds(20)) {
      try FileManager.default.attributesOfItem(atPath: path)[.size] as? Int ?? 0 > 1 << 20
    }
  }

  @Test func whatIsManyIsNotCountedEachTime() throws {
    let counted = SparingCount()
    let calls = Mutex(0)
    func count(_ number: UInt64, for time: Duration = .zero) -> UInt64 {
      counted.count {
        calls.withLock { $0 += 1 }
        let start = ContinuousClock.now
        while ContinuousClock.now - start < time {}
        return number
      }
    }
    for number in [0, 3, SparingCount.few] { #expect(count(number) == number) }
    #expect(calls.withLock { $0 } == 3)
    #expect(count(1 << 20, for: .milliseconds(100)) == 1 << 20)
    for _ in 0..<10 { #expect(count(5) == 1 << 20) }
    #expect(calls.withLock { $0 } == 4)
  }

  @Test func theBytesOfWhatIsMissingAreThoseOfTheParts() async throws {
    let user = try await user()
    let placement = Placement(md5: .of([]))
    let version = Content(
      id: .random(), size: 400_003, md5: .of([]), placement: placement,
      partDigests: Array(repeating: BlockChecksum(0), count: Limits.partCount))
    let inode = Inode(
      id: InodeID(change: 1, index: 0), kind: .regular, mode: 0o600, owner: 0, group: 0,
      time: Timestamp(seconds: 1, nanoseconds: 0), version: Version(version))
    try await user.apply(
      Change(id: ChangeID(client: ClientID(7), sequence: 1), writes: [inode.row]))
    let lengths = placement.parts(on: ServerIndex(0)).map { version.split.length(of: $0) }
    let health = try await user.health()
    #expect(health.missing == 2 && health.missingBytes == lengths.reduce(0, +))
  }

  @Test func whatIsReplacedIsMissingNoMore() async throws {
    let user = try await user()
    _ = try await file(user, with: [])
    #expect(try await missing(user).count == 2)
    try await user.apply(Fixture.replace(InodeID(change: 1, index: 0), nil, sequence: 2))
    #expect(try await missing(user).isEmpty)
  }

  @Test func aLostFileIsNoticedByWhoReadsItAndByTheSweep() async throws {
    let user = try await user()
    let (one, two) = (try await file(user, with: [0, 1]), try await file(user, with: [0, 1]))
    for version in [one, two] {
      try FileManager.default.removeItem(atPath: user.copies.path(of: partID(version, 0)))
    }
    #expect(await failure { _ = try await user.get(partID(one, 0)) } == .notFound)
    #expect(try await missing(user) == [partID(one, 0)])
    // A copy that no row asks for here is nobody's loss.
    #expect(await failure { _ = try await user.get(partID(one, 3)) } == .notFound)
    try await user.sweep(nowSeconds: WallClock.seconds)
    #expect(Set(try await missing(user)) == [partID(one, 0), partID(two, 0)])
  }

  /// A disk that does not give a copy back is noticed by who reads it, not only by the scrub.
  @Test func aCopyThatCannotBeReadIsMissing() async throws {
    let user = try await user()
    let id = partID(try await file(user, with: [0, 1]), 0)
    let path = user.copies.path(of: id)
    try FileManager.default.removeItem(atPath: path)
    // Reading a directory fails as reading a bad sector does.
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: false)
    #expect(await failure { _ = try await user.get(id) } == .inputOutput)
    #expect(try await missing(user) == [id])
    try await user.put(id, Fixture.bytes(100_000), session: 2, durable: true)
    #expect(try await user.get(id) == Fixture.bytes(100_000))
    #expect(try await missing(user).isEmpty)
  }

  @Test func aDamagedCopyIsMissingAndQuarantinedWhenAGoodOneComes() async throws {
    let user = try await user()
    let version = try await file(user, with: [0, 1])
    let id = partID(version, 1)
    let path = user.copies.path(of: id)
    var bytes = try Data(contentsOf: URL(fileURLWithPath: path))
    bytes[70_000] ^= 1
    try bytes.write(to: URL(fileURLWithPath: path))
    await user.scrub(bytesPerSecond: nil)
    #expect(user.scrubReport.damaged == 1)
    #expect(try await missing(user) == [id])
    // Its other blocks can still be read.
    let (extent, block) = try await user.getPart(id, range: 0..<1000)
    #expect(extent.offset == 0 && block == Array(Fixture.bytes(100_000)[..<65_536]))
    try await user.put(id, Fixture.bytes(100_000), session: 2)
    #expect(try await missing(user).isEmpty)
    #expect(try await user.health().damaged == 1)
    #expect(try await user.get(id) == Fixture.bytes(100_000))
    await user.scrub(bytesPerSecond: nil)
    #expect(user.scrubReport.damaged == 0)
  }

  @Test func twoHealersAreToldOfDifferentCopies() async throws {
    let user = try await user()
    _ = try await file(user, with: [])
    _ = try await file(user, with: [])
    func claim(_ session: UInt64) async throws -> Set<PartID> {
      Set(
        try await user.missing(session: session, after: nil, limit: 3, claims: true).copies.map(
          \.id)
      )
    }
    let (one, two) = (try await claim(1), try await claim(2))
    #expect(one.count == 3 && two.count == 1 && one.isDisjoint(with: two))
    #expect(try await missing(user).count == 4)
    user.endSession(1)
    #expect(try await claim(2) == one)
  }

  @Test func healersThatAskAtOnceAreToldOfDifferentCopies() async throws {
    let user = try await user()
    for _ in 1...20 { _ = try await file(user, with: []) }
    let claims = try await withThrowingTaskGroup(of: [PartID].self) { group in
      for session in 1...10 as ClosedRange<UInt64> {
        group.addTask {
          try await user.missing(session: session, after: nil, limit: 4, claims: true).copies.map(
            \.id)
        }
      }
      return try await group.reduce(into: []) { $0.append($1) }
    }
    #expect(claims.allSatisfy { !$0.isEmpty })
    #expect(Set(claims.joined()).count == claims.joined().count)
  }

  /// The row sends the copies elsewhere: those here are unreferenced, but not while a reader holds them.
  @Test func aCopyThatStoodInGoesWhenTheRowSaysSoAndNobodyReads() async throws {
    let user = try await user()
    let version = try await file(user, with: [0, 1])
    let elsewhere = Fixture.content(version).placement.substituting(
      for: ServerSet([ServerIndex(0)]))
    let content = RowContent(
      version: version, placement: elsewhere, home: Fixture.content(version).home)
    user.pin(session: 1, [version])
    try await user.apply(
      Change(
        id: ChangeID(client: ClientID(7), sequence: 2),
        writes: [
          RowWrite(.inode(InodeID(change: 1, index: 0)), RowValue(bytes: [9], content: content))
        ]))
    try await user.apply(Fixture.create(3, "next"))
    let answer = try await user.query([.substitutes(after: nil)]).answers[0]
    #expect(answer.rows.map(\.key) == [.inode(InodeID(change: 1, index: 0))])
    try await user.collect(nowSeconds: WallClock.seconds)
    #expect(try await user.copies([version]) == [[PartIndex(0), PartIndex(1)]])
    user.unpin(session: 1, [version])
    try await user.collect(nowSeconds: WallClock.seconds)
    #expect(try await user.copies([version]) == [[]])
  }

  @Test func aRefillAsksForWhatIsNotHere() async throws {
    let user = try await user()
    let version = try await file(user, with: [0, 1])
    let lost = VersionID.random()
    let truth = user.head()
    let rows = try await user.query([.everything(after: nil)]).answers[0].rows
    let other = Row(
      key: .inode(InodeID(change: 9, index: 0)), change: 9,
      value: RowValue(bytes: [1], content: Fixture.content(lost)))
    var digest = truth.digest
    digest += RowDigest(of: other)
    let view = Fixture.view(2)
    #expect(try await user.refillBegin(session: 1, view) == nil)
    try await user.refillRows(session: 1, rows + [other])
    _ = try await user.refillEnd(
      session: 1, view, to: Head(view: truth.view, number: 9, digest: digest))
    #expect(Set(try await missing(user)) == [partID(lost, 0), partID(lost, 1)])
    #expect(try await user.copies([version]) == [[PartIndex(0), PartIndex(1)]])
  }
}
