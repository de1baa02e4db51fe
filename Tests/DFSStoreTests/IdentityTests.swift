import DFSCore
import DFSStoreFixtures
import Foundation
import Testing

@testable import DFSStore

@Suite struct IdentityTests {
  private func listing(_ path: String) throws -> [String: Data] {
    var files: [String: Data] = [:]
    for name in try FileManager.default.subpathsOfDirectory(atPath: path) {
      files[name] = FileManager.default.contents(atPath: "\(path)/\(name)") ?? Data()
    }
    return files
  }

  @Test func identityIsKept() async throws {
    let place = TemporaryDirectory()
    let store = try Fixture.open(place.path + "/a/DFS1")
    let id = store.identity.id
    #expect(id.count == 32)
    await store.close()
    let again = try Fixture.open(place.path + "/a/DFS1")
    #expect(again.identity.id == id)
    await again.close()
  }

  @Test(arguments: [("DFS2", "default"), ("DFS1", "other")])
  func anotherNameOrClusterIsRefusedAndNothingTouched(name: String, cluster: String) async throws {
    let place = TemporaryDirectory()
    let store = try Fixture.open(place.path)
    await store.close()
    let before = try listing(place.path)
    let code = await failure { _ = try Fixture.open(place.path, name: name, cluster: cluster) }
    #expect(code == .configuration)
    #expect(try listing(place.path) == before)
  }

  private func identityText(_ format: Int, withCheck: Bool) -> String {
    let lines =
      "format \(format)\nname DFS1\ncluster default\nid 00112233445566778899aabbccddeeff\n"
    let check = BlockChecksum.of(Array(lines.utf8)).value.bigEndianBytes.hexadecimal
    return withCheck ? lines + "check \(check)\n" : lines
  }

  @Test func newerFormatIsRefused() async throws {
    let place = TemporaryDirectory()
    let store = try Fixture.open(place.path)
    await store.close()
    try identityText(3, withCheck: true)
      .write(toFile: place.path + "/.dfs/identity", atomically: true, encoding: .utf8)
    #expect(await failure { _ = try Fixture.open(place.path) } == .configuration)
  }

  /// Every bit of it counts: none that is changed is overlooked, or taken for another server's.
  @Test func everyChangedBitIsNoticed() async throws {
    let place = TemporaryDirectory()
    let store = try Fixture.open(place.path)
    try store.join(ClusterID.random())
    await store.close()
    let file = URL(fileURLWithPath: place.path + "/.dfs/identity")
    let good = try Data(contentsOf: file)
    for bit in 0..<good.count * 8 {
      var bad = good
      bad[bit / 8] ^= 1 << (bit % 8)
      try bad.write(to: file)
      #expect(await failure { _ = try Fixture.open(place.path) } == .damaged, "bit \(bit)")
    }
    for length in 0..<good.count {
      try good.prefix(length).write(to: file)
      #expect(await failure { _ = try Fixture.open(place.path) } == .damaged, "\(length) bytes")
    }
    try good.write(to: file)
    await (try Fixture.open(place.path)).close()
  }

  @Test(arguments: [false, true])
  func anIdentityOfAnEarlierReleaseIsRenewed(withCheck: Bool) async throws {
    let place = TemporaryDirectory()
    await (try Fixture.open(place.path)).close()
    let file = place.path + "/.dfs/identity"
    try identityText(1, withCheck: withCheck).write(toFile: file, atomically: true, encoding: .utf8)
    let store = try Fixture.open(place.path)
    #expect(store.identity.id == "00112233445566778899aabbccddeeff")
    await store.close()
    #expect(try String(contentsOfFile: file, encoding: .utf8) == identityText(2, withCheck: true))
  }

  @Test func aServerJoinsOneClusterForGood() async throws {
    let place = TemporaryDirectory()
    let store = try Fixture.open(place.path)
    #expect(store.identity.clusterID == nil)
    let cluster = ClusterID.random()
    try store.join(cluster)
    try store.join(cluster)
    #expect(await failure { try store.join(ClusterID.random()) } == .configuration)
    #expect(store.identity.clusterID == cluster)
    await store.close()
    let again = try Fixture.open(place.path)
    #expect(again.identity.clusterID == cluster)
    #expect(await failure { try again.join(ClusterID.random()) } == .configuration)
    await again.close()
  }

  @Test func unreadableIdentityIsRefused() async throws {
    let place = TemporaryDirectory()
    let store = try Fixture.open(place.path)
    await store.close()
    try Data("format".utf8).write(to: URL(fileURLWithPath: place.path + "/.dfs/identity"))
    #expect(await failure { _ = try Fixture.open(place.path) } == .damaged)
  }

  @Test func secondProcessIsRefused() async throws {
    let place = TemporaryDirectory()
    let store = try Fixture.open(place.path)
    #expect(await failure { _ = try Fixture.open(place.path) } == .busy)
    await store.close()
    let again = try Fixture.open(place.path)
    await again.close()
  }

  @Test func directoryWithStrangersIsRefused() async throws {
    let place = TemporaryDirectory()
    try FileManager.default.createDirectory(
      atPath: place.path + "/holiday", withIntermediateDirectories: true)
    let before = try listing(place.path)
    #expect(await failure { _ = try Fixture.open(place.path) } == .configuration)
    #expect(try listing(place.path) == before)
  }

  @Test func newerDatabaseIsRefused() async throws {
    let place = TemporaryDirectory()
    let store = try Fixture.open(place.path)
    _ = try await store.user(Fixture.alice)
    await store.close()
    // The format is in the header of an SQLite file: 4 bytes at offset 60.
    let path = place.path + "/alice/namespace.sqlite"
    var bytes = try Data(contentsOf: URL(fileURLWithPath: path))
    bytes[63] = 3
    try bytes.write(to: URL(fileURLWithPath: path))
    let again = try Fixture.open(place.path)
    let code = await failure { _ = try await again.user(Fixture.alice) }
    #expect(code == .configuration)
    await again.close()
  }
}
