import DFSCore
import DFSReplication
import DFSStoreFixtures
import DFSSystem
import Foundation
import Testing

@testable import DFSStore

/// What a state transfer replaces, and the way back.
@Suite struct KeptRowsTests {
  private let place = TemporaryDirectory()
  private let versions = (0..<12).map { VersionID(high: 5, low: UInt64($0)) }

  private func open(keepTransferred: Int64 = 7 * 86_400) async throws -> (ServerStore, UserStore) {
    var options = StoreOptions()
    options.keepReplacedSeconds = 0
    options.keepOrphansSeconds = 0
    options.keepTransferredSeconds = keepTransferred
    options.collectSeconds = 3600
    let store = try Fixture.open(place.path + "/DFS1", options: options)
    return (store, try await store.user(Fixture.alice))
  }

  /// Twelve files, each with a copy in a file and a small one in the database.
  private func fill(_ user: UserStore) async throws {
    try await user.begin()
    for (index, version) in versions.enumerated() {
      try await user.put(partID(version, 0), Fixture.bytes(1000, seed: UInt64(index)))
      try await user.apply(
        Fixture.create(UInt64(index + 1), "f\(index)", version: version),
        parts: [Fixture.inline(version, 1, [UInt8(index)])], held: [partID(version, 0)])
    }
  }

  private func rows(_ user: UserStore) async throws -> [DFSCore.Row] {
    try await user.query([.everything(after: nil)]).answers[0].rows
  }

  /// A client brings rows, as a hostile server told them.
  private func transfer(_ user: UserStore, _ rows: [DFSCore.Row], round: UInt64 = 9) async throws {
    let view = Fixture.view(round)
    #expect(try await user.refillBegin(session: 1, view) == nil)
    try await user.refillRows(session: 1, rows)
    let digest = rows.reduce(into: RowDigest.empty) { $0 += RowDigest(of: $1) }
    let to = Head(view: view, number: 500, digest: digest)
    #expect(try await user.refillEnd(session: 1, view, to: to) == .installed(to))
  }

  private func here(_ user: UserStore) async throws -> Int {
    try await user.copies(versions).reduce(0) { $0 + $1.count }
  }

  /// Its copies went a minute later, and its rows at once.
  @Test func whatATransferEmptiedComesBack() async throws {
    var (store, user) = try await open()
    try await fill(user)
    let (before, head) = (try await rows(user), user.head())
    try await transfer(user, [])
    #expect(try await rows(user).isEmpty)
    // Later changes are accepted, and some days pass.
    for number in 501...502 as ClosedRange<UInt64> {
      try await user.apply(Fixture.create(number, "later \(number)"), Fixture.view(9))
    }
    try await user.collect(nowSeconds: WallClock.seconds + 6 * 86_400)
    #expect(try await here(user) == 24)
    await store.close()

    let repair = try Repair(directory: place.path + "/DFS1")
    let kept = try repair.kept(Fixture.alice)
    #expect(kept.count == 1)
    let number = try await repair.restore(Fixture.alice, from: try #require(kept.first))
    #expect(number == 12)
    guard case .good = try repair.check(Fixture.alice, quarantines: false).verdict else {
      return #expect(Bool(false), "the database is not good")
    }
    _ = consume repair
    (store, user) = try await open()
    #expect(try await rows(user) == before)
    #expect(user.head() == head)
    #expect(try await user.health().missing == 0)
    try await user.apply(Fixture.create(13, "g"), Fixture.view(1))
    try await user.collect(nowSeconds: WallClock.seconds + 30 * 86_400)
    #expect(try await here(user) == 24)
    await store.close()
  }

  @Test func whatATransferLetGoGoesAfterSomeDays() async throws {
    let (store, user) = try await open()
    try await fill(user)
    try await transfer(user, [])
    for number in 501...502 as ClosedRange<UInt64> {
      try await user.apply(Fixture.create(number, "later \(number)"), Fixture.view(9))
    }
    try await user.collect(nowSeconds: WallClock.seconds + 8 * 86_400)
    #expect(try await here(user) == 0)
    let kept = KeptRows(user.copies.directory)
    #expect(try kept.files().count == 1)
    try kept.trim(nowSeconds: WallClock.seconds + 8 * 86_400, user.options)
    #expect(try kept.files().isEmpty)
    await store.close()
  }

  @Test func whatIsKeptIsBounded() async throws {
    let (store, user) = try await open()
    try await fill(user)
    let before = try await rows(user)
    // One that takes back a change is not worth it.
    try await transfer(user, Array(before.dropLast(2)), round: 9)
    #expect(try KeptRows(user.copies.directory).files().isEmpty)
    for round in 10...15 as ClosedRange<UInt64> {
      try await transfer(user, round.isMultiple(of: 2) ? [] : before, round: round)
    }
    let kept = KeptRows(user.copies.directory)
    let files = try kept.files()
    try #require(files.count == 3)
    var options = user.options
    options.keptBytes = try #require(try Disk.status(files[2])).bytes
    try kept.trim(nowSeconds: WallClock.seconds, options)
    #expect(try kept.files() == [files[2]])
    await store.close()
  }

  @Test func rowsThatWereChangedAreNotRestored() async throws {
    let (store, user) = try await open()
    try await fill(user)
    try await transfer(user, [])
    await store.close()
    let repair = try Repair(directory: place.path + "/DFS1")
    let file = try #require(try repair.kept(Fixture.alice).first)
    var bytes = try Data(contentsOf: URL(fileURLWithPath: file))
    let name = try #require(bytes.range(of: Data("f7".utf8)))
    bytes[name.lowerBound] ^= 1
    try bytes.write(to: URL(fileURLWithPath: file))
    #expect(
      await failure { _ = try await repair.restore(Fixture.alice, from: file) } == .damaged)
  }

  /// Nobody could make a view change any more.
  @Test func anAbsurdPromiseIsTakenBack() async throws {
    var (store, user) = try await open()
    try await fill(user)
    let head = user.head()
    let absurd = View(round: 1 << 30, client: ClientID(66))
    _ = try await user.namespace(.prepare(absurd), parts: [], held: [], durable: false)
    await store.close()
    let repair = try Repair(directory: place.path + "/DFS1")
    #expect(try repair.rounds(Fixture.alice)?.areAbsurd == true)
    try await repair.lowerRounds(Fixture.alice)
    #expect(try repair.rounds(Fixture.alice)?.areAbsurd == false)
    _ = consume repair
    (store, user) = try await open()
    #expect(user.head() == head)
    let reply = try await user.namespace(
      .prepare(Fixture.view(2)), parts: [], held: [], durable: false)
    #expect(reply == .promised(head))
    await store.close()
  }
}
