import DFSCore
import DFSReplication
import DFSStoreFixtures
import DFSSystem
import Foundation
import Testing

@testable import DFSStore

/// A crash is a copy of the directory while the store is open: what the kernel has at that moment.
@Suite struct RecoveryTests {
  private func crash(_ place: TemporaryDirectory) throws -> TemporaryDirectory {
    let copy = TemporaryDirectory()
    try FileManager.default.removeItem(atPath: copy.path)
    try FileManager.default.copyItem(atPath: place.path, toPath: copy.path)
    return copy
  }

  @Test func everyAcknowledgedChangeIsThereAfterACrash() async throws {
    let place = TemporaryDirectory()
    let user = try await Fixture.open(place.path).user(Fixture.alice)
    try await user.begin()
    for number in 1...12 as ClosedRange<UInt64> {
      try await user.apply(Fixture.create(number, "f\(number)"), durable: number % 3 == 0)
      let copy = try crash(place)
      let again = try Fixture.open(copy.path)
      let survivor = try await again.user(Fixture.alice)
      #expect(survivor.head() == user.head())
      #expect(try await survivor.checkRows() == user.head())
      await again.close()
    }
  }

  @Test func aPromiseSurvives() async throws {
    let place = TemporaryDirectory()
    let user = try await Fixture.open(place.path).user(Fixture.alice)
    try await user.begin()
    _ = try await user.namespace(.prepare(Fixture.view(5)), parts: [], held: [], durable: false)
    let copy = try crash(place)
    let survivor = try await Fixture.open(copy.path).user(Fixture.alice)
    #expect(try await survivor.apply(Fixture.create(1, "a")) == .refused(Fixture.view(5)))
  }

  /// The log is what the next process reads: whoever lets go of the last connection, as a server does
  /// that ends, must not move and remove it.
  @Test func aDatabaseThatFailedKeepsItsLog() async throws {
    let place = TemporaryDirectory()
    let head = try await headOfAFailedUser(place)
    let log = "\(place.path)/alice/\(NamespaceDatabase.fileName)-wal"
    let size = try #require(try Disk.status(log)).bytes
    #expect(size > 0)
    let again = try await Fixture.open(place.path).user(Fixture.alice)
    #expect(again.head() == head)
  }

  /// Nobody has the store any more when this returns.
  private func headOfAFailedUser(_ place: TemporaryDirectory) async throws -> Head {
    weak var released: UserStore?
    let head: Head
    do {
      let store = try Fixture.open(place.path)
      let user = try await store.user(Fixture.alice)
      released = user
      try await user.begin()
      try await user.apply(Fixture.create(1, "f1"))
      user.writer.fail(DFSError(.inputOutput, "a disk that fails"))
      head = user.head()
      await store.close()
    }
    let deadline = ContinuousClock.now + .seconds(20)
    while released != nil, ContinuousClock.now < deadline {
      try await Task.sleep(for: .milliseconds(5))
    }
    #expect(released == nil)
    return head
  }

  /// What a process left in the log is in the database before anything is added: an fsync of that log may
  /// have failed, and nothing behind the gap would survive a loss of power.
  @Test func theLogOfAnEndedProcessIsNotBuiltOn() async throws {
    let place = TemporaryDirectory()
    let user = try await Fixture.open(place.path).user(Fixture.alice)
    try await user.begin()
    for number in 1...5 as ClosedRange<UInt64> {
      try await user.apply(Fixture.create(number, "f\(number)"))
    }
    let copy = try crash(place)
    let survivor = try await Fixture.open(copy.path).user(Fixture.alice)
    #expect(survivor.head() == user.head())
    let without = try crash(copy)
    let directory = without.path + "/alice"
    for suffix in ["-wal", "-shm"] {
      try FileManager.default.removeItem(
        atPath: "\(directory)/\(NamespaceDatabase.fileName)\(suffix)")
    }
    try DatabaseMark.closed.write(directory)
    let database = try await Fixture.open(without.path).user(Fixture.alice)
    #expect(database.head() == user.head())
    // The next frames begin the log anew, and are found after another crash.
    try await survivor.apply(Fixture.create(6, "f6"), durable: true)
    let second = try crash(copy)
    let again = try await Fixture.open(second.path).user(Fixture.alice)
    #expect(again.head() == survivor.head())
  }

  @Test func anUploadCutOffLeavesNothing() async throws {
    let place = TemporaryDirectory()
    let user = try await Fixture.open(place.path).user(Fixture.alice)
    let id = partID(VersionID.random(), 2)
    let piece = Fixture.bytes(Limits.chunkBytes)
    try await user.putPart(
      session: 1, UserStore.extent(id, piece, 0, 3 * Limits.chunkBytes), bytes: piece,
      durable: true)
    let copy = try crash(place)
    #expect(
      try FileManager.default.contentsOfDirectory(atPath: copy.path + "/alice/tmp").count == 1)
    let survivor = try await Fixture.open(copy.path).user(Fixture.alice)
    #expect(try FileManager.default.contentsOfDirectory(atPath: copy.path + "/alice/tmp").isEmpty)
    #expect(await failure { _ = try await survivor.get(id) } == .notFound)
  }

  @Test func aCompleteCopySurvives() async throws {
    let place = TemporaryDirectory()
    let user = try await Fixture.open(place.path).user(Fixture.alice)
    let id = partID(VersionID.random(), 3)
    try await user.put(id, Fixture.bytes(200_000), durable: true)
    let copy = try crash(place)
    let survivor = try await Fixture.open(copy.path).user(Fixture.alice)
    #expect(try await survivor.get(id) == Fixture.bytes(200_000))
  }

  /// No change is on stable storage before the copies that it names, however it came here: with the
  /// copies named, from another server's log, or with all rows.
  @Test func copiesAreOnStableStorageBeforeAnInstallThatNamesThem() async throws {
    let place = TemporaryDirectory()
    var options = StoreOptions()
    options.flushMilliseconds = 3_600_000
    let user = try await Fixture.open(place.path, options: options).user(Fixture.alice)
    let source = TemporaryDirectory()
    let other = try await Fixture.open(source.path).user(Fixture.alice)
    try await user.begin()
    try await other.begin()
    let from = other.head()
    let version = VersionID.random()
    let change = Fixture.create(1, "a", version: version)
    try await other.apply(change)
    try await user.put(partID(version, 0), [1, 2, 3])
    #expect(user.copies.unsynced.contains(partID(version, 0)))
    let view = Fixture.view(2)
    let reply = try await user.namespace(
      .install(view, from: from, changes: [change], to: other.head()), parts: [], held: [],
      durable: false)
    #expect(reply == .installed(user.head()))
    #expect(!user.copies.unsynced.contains(partID(version, 0)))
  }

  @Test func whatWasNotDurableIsFlushedSoon() async throws {
    let place = TemporaryDirectory()
    var options = StoreOptions()
    options.flushMilliseconds = 500
    let user = try await Fixture.open(place.path, options: options).user(Fixture.alice)
    try await user.begin()
    let version = VersionID.random()
    let id = partID(version, 0)
    try await user.put(id, Fixture.bytes(5000))
    try await user.apply(Fixture.create(1, "a", version: version), held: [id])
    let deadline = ContinuousClock.now + .seconds(5)
    while ContinuousClock.now < deadline {
      let isDirty = try await user.writer.exclusive { state, _ in state.isDirty }
      if !isDirty, user.copies.unsynced.ids.isEmpty { return }
      try await Task.sleep(for: .milliseconds(5))
    }
    Issue.record("not on stable storage after 5 s")
  }

  @Test func closingMakesEverythingDurableAndReopens() async throws {
    let place = TemporaryDirectory()
    let store = try Fixture.open(place.path)
    let user = try await store.user(Fixture.alice)
    try await user.begin()
    try await user.apply(Fixture.create(1, "a"))
    let head = user.head()
    await store.close()
    #expect(await failure { try await user.apply(Fixture.create(2, "b")) } == .cancelled)
    let log = FileManager.default.contents(atPath: place.path + "/alice/namespace.sqlite-wal")
    #expect(log?.isEmpty ?? true)
    let again = try Fixture.open(place.path)
    #expect(try await again.user(Fixture.alice).head() == head)
    await again.close()
  }

  @Test func aFlippedByteOfTheDatabaseIsNoticedAndNothingMoreServed() async throws {
    let place = TemporaryDirectory()
    let store = try Fixture.open(place.path)
    let user = try await store.user(Fixture.alice)
    try await user.begin()
    let mark = Array("a value that can be found on the disk".utf8)
    try await user.apply(Fixture.create(1, "a", value: mark))
    await store.close()
    let path = URL(fileURLWithPath: place.path + "/alice/namespace.sqlite")
    var bytes = try Data(contentsOf: path)
    var found = 0
    while let range = bytes.range(of: Data(mark)) {
      bytes[range.lowerBound + 3] ^= 1
      found += 1
    }
    #expect(found > 0)
    try bytes.write(to: path)
    let again = try Fixture.open(place.path)
    #expect(await failure { _ = try await again.user(Fixture.alice) } == .damaged)
    await again.close()
  }
}
