import DFSCore
import DFSStoreFixtures
import Testing

@testable import DFSStore

/// How long small copies are kept for other servers.
@Suite struct RetainedTests {
  private static let hour = CopyTables.retainedSeconds

  @Test func aNumberCountsWhenItHasBeenKnownLong() {
    var history = CommittedHistory()
    func note(_ number: UInt64, at now: Int64) -> UInt64 {
      history.note(number, nowSeconds: now, age: 100)
    }
    let found = [
      note(3, at: 0), note(3, at: 99), note(5, at: 100), note(9, at: 199), note(9, at: 200),
      note(9, at: 1_000),
    ]
    #expect(found == [0, 0, 3, 3, 5, 9])
  }

  @Test func aClockThatIsSetBackBeginsAgain() {
    var history = CommittedHistory()
    let found = [
      history.note(3, nowSeconds: 5_000, age: 100), history.note(3, nowSeconds: 1_000, age: 100),
      history.note(3, nowSeconds: 1_100, age: 100),
    ]
    #expect(found == [0, 0, 3])
  }

  /// A server that alone took a change is away for long; when it is back, and learns that others have
  /// taken the change up, they have their hour to be brought their copies.
  @Test func theHourDoesNotGoOnWhileTheServerIsAway() async throws {
    let place = TemporaryDirectory()
    var options = StoreOptions()
    options.collectSeconds = 3600
    let store = try Fixture.open(place.path, options: options)
    let user = try await store.user(Fixture.alice)
    try await user.begin()
    let version = VersionID.random()
    let parts = (0..<4).map { Fixture.inline(version, $0, [UInt8($0)]) }
    try await user.apply(Fixture.create(1, "a", version: version), parts: parts)
    let now = WallClock.seconds
    try await user.collect(nowSeconds: now)
    // Away, and then the first change that says that the one before is committed.
    let back = now + 3 * Self.hour
    try await user.apply(Fixture.create(2, "b"))
    try await user.collect(nowSeconds: back)
    #expect(try await user.get(partID(version, 3)) == [3])
    try await user.collect(nowSeconds: back + Self.hour - 1)
    #expect(try await user.get(partID(version, 3)) == [3])
    try await user.collect(nowSeconds: back + Self.hour)
    #expect(await failure { _ = try await user.get(partID(version, 3)) } == .notFound)
    #expect(try await user.get(partID(version, 1)) == [1])
    await store.close()
  }
}
