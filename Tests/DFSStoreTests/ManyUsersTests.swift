import DFSCore
import DFSStoreFixtures
import Foundation
import Glibc
import Testing

@testable import DFSStore

@Suite struct ManyUsersTests {
  @Test func aHundredUsersShareAFewOpenDatabases() async throws {
    let place = TemporaryDirectory()
    var options = StoreOptions()
    options.openDatabases = 8
    let store = try Fixture.open(place.path, options: options)
    let names = (0..<100).map { Fixture.name("user\($0)") }
    try await withThrowingTaskGroup { group in
      for name in names {
        group.addTask {
          let user = try await store.user(name)
          try await user.begin()
          try await user.apply(Fixture.create(1, "a"), durable: true)
        }
      }
      try await group.waitForAll()
    }
    // Each is opened again where it was closed meanwhile.
    for name in names {
      let user = try await store.user(name)
      try await user.apply(Fixture.create(2, "b"))
      #expect(try await user.checkRows().number == 2)
    }
    let deadline = ContinuousClock.now + .seconds(10)
    while store.openDatabaseCount > 8, ContinuousClock.now < deadline {
      try await Task.sleep(for: .milliseconds(10))
    }
    #expect(store.openDatabaseCount <= 8)
    await store.close()
  }

  @Test func usersDoNotSeeEachOther() async throws {
    let place = TemporaryDirectory()
    let store = try Fixture.open(place.path)
    let alice = try await store.user(Fixture.alice)
    let bob = try await store.user(Fixture.name("bob"))
    try await alice.begin()
    let id = partID(VersionID.random(), 0)
    try await alice.put(id, [1])
    try await alice.apply(Fixture.create(1, "a", version: id.version), held: [id])
    #expect(await failure { _ = try await bob.get(id) } == .notFound)
    #expect(try await bob.query([.everything(after: nil)]).answers[0].rows.isEmpty)
    #expect(bob.head() == .blank)
    await store.close()
  }
}

/// A small file system that can be filled; mounting one needs privileges.
final class SmallDisk: Sendable {
  let place = TemporaryDirectory()

  static let canMount: Bool = {
    guard geteuid() == 0, let disk = try? SmallDisk(megabytes: 1) else { return false }
    return !disk.place.path.isEmpty
  }()

  init(megabytes: Int) throws {
    let options = "size=\(megabytes)m"
    guard mount("tmpfs", place.path, "tmpfs", 0, options) == 0 else {
      throw DFSError(.notPermitted, "mounting tmpfs")
    }
  }

  deinit { umount2(place.path, Int32(MNT_DETACH)) }
}

@Suite struct FullDiskTests {
  @Test(.enabled(if: SmallDisk.canMount, "mounting a tmpfs needs root"))
  func aFullDiskIsToldAndWorkGoesOnWhenThereIsRoom() async throws {
    let disk = try SmallDisk(megabytes: 8)
    let store = try Fixture.open(disk.place.path + "/DFS1")
    let user = try await store.user(Fixture.alice)
    try await user.begin()
    let big = partID(VersionID.random(), 0)
    #expect(await failure { try await user.put(big, Fixture.bytes(12 << 20)) } == .noSpace)
    #expect(
      try FileManager.default.contentsOfDirectory(atPath: store.directory + "/alice/tmp") == [])
    // Rows are refused too once nothing is left, and nothing of them stays.
    var filler: [PartID] = []
    while filler.count < 200 {
      let id = partID(VersionID.random(), 0)
      if await failure({ try await user.put(id, Fixture.bytes(100_000)) }) != nil { break }
      filler.append(id)
    }
    #expect(filler.count < 200)
    var number = user.head().number
    var code: DFSError.Code?
    while code == nil, number < 100 {
      number += 1
      let change = Fixture.create(number, "f\(number)", value: Fixture.bytes(60_000))
      code = await failure { try await user.apply(change) }
    }
    #expect(code == .noSpace)
    let head = user.head()
    #expect(try await user.checkRows() == head)
    try await user.dropParts(filler)
    try await user.apply(Fixture.create(head.number + 1, "more", value: Fixture.bytes(60_000)))
    #expect(try await user.checkRows().number == head.number + 1)
    await store.close()
  }
}
