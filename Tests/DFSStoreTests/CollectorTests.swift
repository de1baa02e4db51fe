import DFSCore
import DFSStoreFixtures
import DFSTestSupport
import Foundation
import Testing

@testable import DFSStore

/// What is removed, and above all what is not.
@Suite struct CollectorTests {
  private let place = TemporaryDirectory()

  private func user(keepReplaced: Int64 = 0, keepOrphans: Int64 = 0) async throws -> UserStore {
    var options = StoreOptions()
    options.keepReplacedSeconds = keepReplaced
    options.keepTransferredSeconds = keepReplaced
    options.keepOrphansSeconds = keepOrphans
    options.collectSeconds = 3600
    let user = try await Fixture.open(place.path, options: options).user(Fixture.alice)
    if user.head() == .blank { try await user.begin() }
    return user
  }

  /// A file with one stored part and one small one, replaced `times` times.
  private func replace(_ user: UserStore, times: Int) async throws -> [VersionID] {
    let inode = InodeID(change: 1, index: 0)
    var versions: [VersionID] = []
    for _ in 0...times {
      let version = VersionID.random()
      let number = user.head().number + 1
      try await user.put(partID(version, 0), Fixture.bytes(1000))
      let change =
        versions.isEmpty
        ? Fixture.create(1, "a", version: version)
        : Fixture.replace(inode, version, sequence: number)
      try await user.apply(
        change, parts: [Fixture.inline(version, 1, [1, 2, 3])], held: [partID(version, 0)])
      versions.append(version)
    }
    return versions
  }

  private func isHere(_ user: UserStore, _ version: VersionID) async throws -> Bool {
    let parts = try await user.copies([version])[0]
    #expect(parts.isEmpty || parts.count == 2)
    return !parts.isEmpty
  }

  private func touch(_ user: UserStore) async throws {
    let number = user.head().number + 1
    try await user.apply(Fixture.create(number, "touched \(number)"))
  }

  @Test func replacedVersionsGoAndTheLiveOneStays() async throws {
    let user = try await user()
    let versions = try await replace(user, times: 200)
    try await touch(user)
    try await user.collect(nowSeconds: WallClock.seconds)
    #expect(user.copies.unsynced.ids.isEmpty)
    for version in versions.dropLast() { #expect(try await !isHere(user, version)) }
    #expect(try await isHere(user, versions[200]))
    let files = try FileManager.default.subpathsOfDirectory(atPath: place.path + "/alice/parts")
    #expect(files.count { $0.hasSuffix(".1") } == 1)
  }

  @Test func whatTheLastChangeReplacedStaysUntilItIsKnownToBeCommitted() async throws {
    let user = try await user()
    let versions = try await replace(user, times: 1)
    try await user.collect(nowSeconds: WallClock.seconds)
    #expect(try await isHere(user, versions[0]))
    try await touch(user)
    try await user.collect(nowSeconds: WallClock.seconds)
    #expect(try await !isHere(user, versions[0]))
    #expect(try await isHere(user, versions[1]))
  }

  /// Where two clients wrote one file, what one of them wrote is kept under a name beside it: the content goes to
  /// another inode. Found by the simulation.
  @Test func aCopyThatIsMissingIsMissingForTheInodeThatHasTheContentNow() async throws {
    let user = try await user()
    let (old, new) = (VersionID.random(), VersionID.random())
    let (file, kept) = (InodeID(change: 1, index: 0), InodeID(change: 2, index: 0))
    try await user.apply(Fixture.create(1, "a", version: old))
    let replacing = Fixture.replace(file, new, sequence: 2)
    let keeping = Fixture.create(2, "a (conflict)", version: old)
    try await user.apply(Change(id: replacing.id, writes: keeping.writes + replacing.writes))
    func missing() async throws -> [MissingCopy] {
      try await user.missing(session: 1, after: nil, limit: 100, claims: false).copies
    }
    let parts = [old, new].flatMap { version in [0, 1].map { partID(version, $0) } }
    let found = try await missing()
    #expect(Set(found.map(\.id)) == Set(parts))
    for copy in found {
      #expect(copy.inode == (copy.id.version == old ? kept : file))
      #expect(copy.content == Fixture.content(copy.id.version))
    }
    // Also where a server of an earlier release noted the inode that had it first.
    let noted = partID(old, 0)
    try await user.change { tables in
      try tables.forgetMissing(noted)
      _ = try tables.want(noted, for: file)
    }
    try await user.sweep(nowSeconds: WallClock.seconds)
    #expect(try await Set(missing().map(\.inode)) == [kept, file])
    #expect(try await missing().filter { $0.inode == kept }.count == 2)
  }

  @Test func whatIsKeptForOtherServersGoesWithTheContent() async throws {
    let user = try await user()
    var versions: [VersionID] = []
    for number in 1...5 as ClosedRange<UInt64> {
      let version = VersionID.random()
      let change =
        number == 1
        ? Fixture.create(1, "a", version: version)
        : Fixture.replace(InodeID(change: 1, index: 0), version, sequence: number)
      try await user.apply(change, parts: (0..<4).map { Fixture.inline(version, $0, [1, 2]) })
      versions.append(version)
    }
    func kept() async throws -> [VersionID] {
      let versions = versions
      return try await user.read { db in
        try versions.filter { try CopyTables.retained(partID($0, 3), db) != nil }
      }
    }
    // The last change may be undone: it may come to what it replaced.
    try await user.collect(nowSeconds: WallClock.seconds)
    #expect(try await kept() == Array(versions[3...]))
    try await touch(user)
    try await user.collect(nowSeconds: WallClock.seconds)
    #expect(try await kept() == [versions[4]])
    try await user.collect(nowSeconds: WallClock.seconds + CopyTables.retainedSeconds + 1)
    #expect(try await kept().isEmpty)
    #expect(try await isHere(user, versions[4]))
  }

  @Test func aRefillBringsBackWhatAnUncommittedChangeReplaced() async throws {
    let user = try await user()
    let versions = try await replace(user, times: 0)
    let truth = user.head()
    let rows = try await user.query([.everything(after: nil)]).answers[0].rows
    let lost = VersionID.random()
    try await user.put(partID(lost, 0), [1])
    try await user.apply(
      Fixture.replace(InodeID(change: 1, index: 0), lost, sequence: 2), held: [partID(lost, 0)])
    try await user.collect(nowSeconds: WallClock.seconds)
    let view = Fixture.view(2)
    #expect(try await user.refillBegin(session: 1, view) == nil)
    try await user.refillRows(session: 1, rows)
    _ = try await user.refillEnd(session: 1, view, to: truth)
    #expect(user.head().hasSameRows(as: truth))
    // What was undone may come again as the next change: until one is committed it stays (found by the
    // simulation).
    try await user.collect(nowSeconds: WallClock.seconds)
    #expect(try await user.copies([lost]) == [[PartIndex(0)]])
    try await user.apply(Fixture.create(2, "b"), view)
    try await user.apply(Fixture.create(3, "c"), view)
    try await user.collect(nowSeconds: WallClock.seconds)
    #expect(try await isHere(user, versions[0]))
    #expect(try await user.copies([lost]) == [[]])
  }

  @Test func theGracePeriodIsKept() async throws {
    let user = try await user(keepReplaced: 60)
    let versions = try await replace(user, times: 1)
    try await touch(user)
    try await user.collect(nowSeconds: WallClock.seconds + 50)
    #expect(try await isHere(user, versions[0]))
    try await user.collect(nowSeconds: WallClock.seconds + 61)
    #expect(try await !isHere(user, versions[0]))
  }

  @Test func whatASessionHoldsStays() async throws {
    let user = try await user()
    let versions = try await replace(user, times: 3)
    try await touch(user)
    user.pin(session: 1, [versions[0], versions[1]])
    user.pin(session: 1, [versions[1]])
    user.pin(session: 2, [versions[2]])
    try await user.collect(nowSeconds: WallClock.seconds)
    for index in 0...3 { #expect(try await isHere(user, versions[index])) }
    user.unpin(session: 1, [versions[0], versions[1]])
    try await user.collect(nowSeconds: WallClock.seconds)
    #expect(try await !isHere(user, versions[0]))
    #expect(try await isHere(user, versions[1]))
    user.endSession(1)
    user.endSession(2)
    try await user.collect(nowSeconds: WallClock.seconds)
    #expect(try await !isHere(user, versions[1]))
    #expect(try await !isHere(user, versions[2]))
    #expect(try await isHere(user, versions[3]))
  }

  /// Found by the simulation: a healer brings a copy that was let go of before and waits to be
  /// removed; it must stay until the change that asks for it again comes.
  @Test func aCopyThatWasLetGoOfAndIsBroughtAgainStays() async throws {
    let user = try await user(keepOrphans: 3600)
    let versions = try await replace(user, times: 1)
    try await touch(user)
    try await user.put(partID(versions[0], 0), Fixture.bytes(1000), session: 9, durable: true)
    try await user.collect(nowSeconds: WallClock.seconds + 100)
    #expect(try await user.get(partID(versions[0], 0)) == Fixture.bytes(1000))
    try await user.apply(
      Fixture.replace(InodeID(change: 1, index: 0), versions[0], sequence: 90),
      held: [partID(versions[0], 0)])
    try await touch(user)
    try await user.collect(nowSeconds: WallClock.seconds + 100)
    #expect(try await user.get(partID(versions[0], 0)) == Fixture.bytes(1000))
  }

  /// Found by the simulation: rows that were all replaced at once may never have asked for a version
  /// that others have open.
  @Test func anOrphanThatAReaderHoldsStays() async throws {
    let user = try await user()
    let id = partID(VersionID.random(), 0)
    try await user.put(id, [1, 2, 3], session: 4)
    user.pin(session: 5, [id.version])
    user.endSession(4)
    for _ in 0..<3 {
      try await touch(user)
      try await user.sweep(nowSeconds: WallClock.seconds + 10)
      try await user.collect(nowSeconds: WallClock.seconds + 10)
    }
    #expect(try await user.get(id) == [1, 2, 3])
    user.endSession(5)
    try await eventually("the orphan goes") {
      try await touch(user)
      try await user.collect(nowSeconds: WallClock.seconds)
      return try await user.copies([id.version])[0].isEmpty
    }
  }

  @Test func aVersionThatTwoInodesNameStaysWhileOneDoes() async throws {
    let user = try await user()
    let versions = try await replace(user, times: 0)
    try await user.apply(Fixture.create(2, "b", version: versions[0]))
    try await user.apply(Fixture.replace(InodeID(change: 1, index: 0), nil, sequence: 3))
    try await touch(user)
    try await user.collect(nowSeconds: WallClock.seconds)
    #expect(try await isHere(user, versions[0]))
    try await user.apply(Fixture.replace(InodeID(change: 2, index: 0), nil, sequence: 5))
    try await touch(user)
    try await user.collect(nowSeconds: WallClock.seconds)
    #expect(try await !isHere(user, versions[0]))
  }

  @Test func orphansGoWhenTheirSessionHasEndedAndRowsAreCurrent() async throws {
    let user = try await user()
    let id = partID(VersionID.random(), 0)
    try await user.put(id, [1, 2, 3], session: 4)
    try await user.collect(nowSeconds: WallClock.seconds)
    #expect(try await user.get(id) == [1, 2, 3])
    user.endSession(4)
    // No change was accepted since: these rows may lack the one that names the copy.
    try await user.collect(nowSeconds: WallClock.seconds)
    #expect(try await user.get(id) == [1, 2, 3])
    let deadline = ContinuousClock.now + .seconds(10)
    while ContinuousClock.now < deadline {
      try await touch(user)
      try await user.collect(nowSeconds: WallClock.seconds)
      if await failure({ _ = try await user.get(id) }) == .notFound { return }
      try await Task.sleep(for: .milliseconds(50))
    }
    Issue.record("the orphan is still there")
  }

  @Test func aBlankOrStaleServerSweepsNothing() async throws {
    let user = try await user()
    let versions = try await replace(user, times: 0)
    // The rows are lost, the copies are not.
    let copy = TemporaryDirectory()
    let blank = try Fixture.open(copy.path)
    _ = try await blank.user(Fixture.alice)
    try FileManager.default.removeItem(atPath: copy.path + "/alice/parts")
    try FileManager.default.copyItem(
      atPath: place.path + "/alice/parts", toPath: copy.path + "/alice/parts")
    let stale = try await blank.user(Fixture.alice)
    try await stale.sweep(nowSeconds: WallClock.seconds + 100_000)
    #expect(try await stale.get(partID(versions[0], 0)) == Fixture.bytes(1000))
  }

  @Test func copiesThatAnEarlierProcessLeftAreSwept() async throws {
    let id = partID(VersionID.random(), 0)
    do {
      let store = try Fixture.open(place.path)
      let user = try await store.user(Fixture.alice)
      try await user.put(id, [1])
      await store.close()
    }
    let user = try await user()
    let named = try await replace(user, times: 0)
    let deadline = ContinuousClock.now + .seconds(10)
    while ContinuousClock.now < deadline {
      try await touch(user)
      try await user.sweep(nowSeconds: WallClock.seconds)
      if await failure({ _ = try await user.get(id) }) == .notFound { break }
      try await Task.sleep(for: .milliseconds(50))
    }
    #expect(await failure { _ = try await user.get(id) } == .notFound)
    #expect(try await isHere(user, named[0]))
  }
}
