import DFSCore
import DFSRescue
import DFSStore
import DFSStoreFixtures
import Foundation
import Synchronization

/// Four directories as four servers leave them, and what a rescue makes of them.
final class RescuePlace: Sendable {
  private let temporary = TemporaryDirectory()
  private let told = Mutex<[RescueEvent]>([])
  private let output = Mutex("")

  var root: String { temporary.path }
  var events: [RescueEvent] { told.withLock { $0 } }
  var losses: [RescueLoss] {
    events.compactMap { if case .loss(let loss) = $0 { loss } else { nil } }
  }

  func directory(_ server: Int) -> String { "\(root)/DFS\(server + 1)" }

  static func content(_ size: Int) -> [UInt8] { Fixture.bytes(size, seed: UInt64(size)) }

  // MARK: Filling

  /// Files in the root, in the order of their names, of `content` of their sizes, on all servers.
  /// - Parameter leavingLog: as servers that are killed leave their directories.
  func fill(_ files: [String: Int], leavingLog: Bool = false) async throws {
    for server in ServerIndex.all {
      let path = leavingLog ? directory(server.value) + ".live" : directory(server.value)
      let store = try Fixture.open(path, name: "\(server)")
      let user = try await store.user(Fixture.alice)
      try await user.begin()
      for (index, file) in files.sorted(by: { $0.key < $1.key }).enumerated() {
        let id = VersionID(high: 1, low: UInt64(index))
        try await Self.put(file.key, Self.content(file.value), id, UInt64(index + 1), server, user)
      }
      if leavingLog {
        try FileManager.default.copyItem(atPath: path, toPath: directory(server.value))
      }
      await store.close()
    }
  }

  private static func put(
    _ name: String, _ bytes: [UInt8], _ id: VersionID, _ number: UInt64, _ server: ServerIndex,
    _ user: UserStore
  ) async throws {
    let version = version(id, bytes)
    let (inline, held) = try await put(version, bytes, server, user)
    let inode = Inode(
      id: InodeID(change: number, index: 0), kind: .regular, mode: 0o640, owner: 0, group: 0,
      time: Timestamp(seconds: 1_700_000_000, nanoseconds: 123_456_789), version: Version(version))
    let change = Change(
      id: ChangeID(client: ClientID(7), sequence: number),
      writes: [
        inode.row,
        RowWrite(
          .entry(parent: .root, name: Fixture.fileName(name)), RowValue(bytes: [], child: inode.id)),
      ])
    let reply = try await user.apply(change, parts: inline, held: held)
    guard case .applied = reply else { fatalError("the change was answered \(reply)") }
  }

  /// Stores the copies of a content that a server should have.
  /// - Returns: what travels with the change that names it, and what it holds.
  static func put(
    _ content: Content, _ bytes: [UInt8], _ server: ServerIndex, _ user: UserStore
  ) async throws -> ([InlinePart], [PartID]) {
    var inline: [InlinePart] = []
    var held: [PartID] = []
    for part in content.placement.parts(on: server) {
      let range = content.split.range(of: part)
      let piece = Array(bytes[Int(range.lowerBound)..<Int(range.upperBound)])
      if content.split.isInline {
        inline.append(Fixture.inline(content.id, part.value, piece))
      } else {
        held.append(PartID(version: content.id, part: part))
        try await user.put(PartID(version: content.id, part: part), piece)
      }
    }
    return (inline, held)
  }

  static func version(_ id: VersionID, _ bytes: [UInt8]) -> Content {
    let split = Split(size: UInt64(bytes.count))
    let digests = PartIndex.all.map { part in
      let range = split.range(of: part)
      return bytes[Int(range.lowerBound)..<Int(range.upperBound)].withUnsafeBytes {
        BlockChecksum.digest(of: BlockChecksum.blocks(of: $0))
      }
    }
    let md5 = MD5Digest.of(bytes)
    return Content(
      id: id, size: UInt64(bytes.count), md5: md5, placement: Placement(md5: md5),
      partDigests: digests)
  }

  /// Removes an entry and the first inode on some servers.
  func remove(_ name: String, on servers: [Int]) async throws {
    for server in servers {
      let store = try Fixture.open(directory(server), name: "DFS\(server + 1)")
      let user = try await store.user(Fixture.alice)
      let change = Change(
        id: ChangeID(client: ClientID(7), sequence: 99),
        writes: [
          RowWrite(.inode(InodeID(change: 1, index: 0)), nil),
          RowWrite(.entry(parent: .root, name: Fixture.fileName(name)), nil),
        ])
      try await user.apply(change)
      await store.close()
    }
  }

  // MARK: Damage

  func partFiles(of server: Int) -> [String] {
    let parts = directory(server) + "/alice/parts"
    let names = FileManager.default.enumerator(atPath: parts)?.allObjects as? [String] ?? []
    return names.filter { $0.contains(".") }.map { "\(parts)/\($0)" }
  }

  func flip(_ path: String, at offset: Int) throws {
    var bytes = try Data(contentsOf: URL(fileURLWithPath: path))
    bytes[offset] ^= 1
    try bytes.write(to: URL(fileURLWithPath: path))
  }

  /// Changes the name of an entry in a server's database, so that its row does not verify.
  func spoil(_ name: String, in server: Int) throws {
    let path = directory(server) + "/alice/namespace.sqlite"
    var bytes = try Data(contentsOf: URL(fileURLWithPath: path))
    while let range = bytes.range(of: Data(name.utf8)) { bytes[range.lowerBound] ^= 0x20 }
    try bytes.write(to: URL(fileURLWithPath: path))
  }

  /// Makes copies of some directories, ten numbers further, and damages their databases.
  func damageDatabases(
    of servers: [Int], rounds: Int, _ generator: inout SeededGenerator
  ) throws {
    for server in servers {
      try? FileManager.default.removeItem(atPath: directory(server + 10))
      try FileManager.default.copyItem(
        atPath: directory(server), toPath: directory(server + 10))
      let path = directory(server + 10) + "/alice/namespace.sqlite"
      var bytes = [UInt8](try Data(contentsOf: URL(fileURLWithPath: path)))
      for _ in 0..<rounds { Self.damage(&bytes, &generator) }
      try Data(bytes).write(to: URL(fileURLWithPath: path))
    }
  }

  private static func damage(_ bytes: inout [UInt8], _ generator: inout SeededGenerator) {
    guard !bytes.isEmpty else { return }
    let place = Int.random(in: 0..<bytes.count, using: &generator)
    let page = place / 1024 * 1024
    switch Int.random(in: 0..<10, using: &generator) {
    case 0: bytes.removeSubrange(place...)
    case 1:
      for index in page..<min(page + 1024, bytes.count) { bytes[index] = 0 }
    case 2:
      for index in place..<min(place + 100, bytes.count) {
        bytes[index] = .random(in: 0...255, using: &generator)
      }
    default: bytes[place] ^= 1 << UInt8.random(in: 0..<8, using: &generator)
    }
  }

  /// Every file of every directory with its bytes and the time of its last change.
  func fingerprint() throws -> [String: String] {
    var found: [String: String] = [:]
    for server in 0..<4 {
      let names = FileManager.default.enumerator(atPath: directory(server))?.allObjects
      for name in names as? [String] ?? [] {
        let path = directory(server) + "/" + name
        let attributes = try FileManager.default.attributesOfItem(atPath: path)
        let bytes = FileManager.default.contents(atPath: path) ?? Data()
        found[path] = "\(attributes[.modificationDate] ?? "") \(MD5Digest.of(bytes))"
      }
    }
    return found
  }

  // MARK: Rescuing

  func rescue(
    _ servers: [Int], keepsPartial: Bool = false, to path: String? = nil
  ) throws -> RescueSummary {
    let destination = path ?? "\(root)/out-\(VersionID.random())"
    output.withLock { $0 = destination }
    told.withLock { $0 = [] }
    return try Rescue(directories: servers.map(directory)).run(
      Rescue.Request(user: Fixture.alice, output: destination, keepsPartial: keepsPartial)
    ) { event in self.told.withLock { $0.append(event) } }
  }

  /// Where the tree of the last rescue is.
  var path: String { output.withLock { $0 } }

  func rebuilt(_ name: String) -> [UInt8]? {
    FileManager.default.contents(atPath: path + "/" + name).map { [UInt8]($0) }
  }
}
