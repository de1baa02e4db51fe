import DFSCore
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

  @Test func newerFormatIsRefused() async throws {
    let place = TemporaryDirectory()
    let store = try Fixture.open(place.path)
    await store.close()
    let path = place.path + "/.dfs/identity"
    let text = try String(contentsOfFile: path, encoding: .utf8)
    try text.replacingOccurrences(of: "format 1", with: "format 2")
      .write(toFile: path, atomically: true, encoding: .utf8)
    #expect(await failure { _ = try Fixture.open(place.path) } == .configuration)
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
    bytes[63] = 2
    try bytes.write(to: URL(fileURLWithPath: path))
    let again = try Fixture.open(place.path)
    let code = await failure { _ = try await again.user(Fixture.alice) }
    #expect(code == .configuration)
    await again.close()
  }
}
