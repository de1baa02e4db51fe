import DFSCore
import DFSStoreFixtures
import DFSTestSupport
import Foundation
import Testing

@testable import DFSStore

/// What the file of an upload takes of a real file system, against what has come.
@Suite struct UploadSpaceTests {
  private let place = TemporaryDirectory()
  private static let piece = 512 << 10

  private func upload(_ length: UInt64) -> (Upload, PartID, String) {
    let id = partID(VersionID.random(), 0)
    let path = place.path + "/upload"
    return (Upload(id: id, length: length, path: path), id, path)
  }

  /// Bytes of the blocks that a file has.
  private func taken(_ path: String) throws -> UInt64 {
    var status = stat()
    guard stat(path, &status) == 0 else { throw DFSError(.notFound, "\(path): errno \(errno)") }
    return UInt64(status.st_blocks) * 512
  }

  private func send(
    _ upload: Upload, _ id: PartID, _ bytes: [UInt8], at offset: UInt64, of length: UInt64
  ) async throws {
    let extent = UserStore.extent(id, bytes, Int(offset), Int(length))
    try await upload.takeTurn(extent)
    _ = try bytes.withUnsafeBytes { try upload.write(extent, $0) }
    upload.endTurn(at: offset + UInt64(bytes.count))
  }

  /// A piece of half a MiB of one that says that it will be long took all of it.
  @Test(arguments: [2 << 30, 1 << 40, 1 << 53])
  func aPromiseOfMuchTakesLittle(length: UInt64) async throws {
    let (upload, id, path) = upload(length)
    try await send(upload, id, Fixture.bytes(Self.piece), at: 0, of: length)
    let size = try taken(path)
    // What has come and what comes next, not all.
    #expect(size >= UInt64(Self.piece))
    #expect(size <= 3 << 20, "\(size >> 10) KiB for \(Self.piece >> 10) KiB of \(length)")
    upload.fail(DFSError(.cancelled, "enough"))
    #expect(!FileManager.default.fileExists(atPath: path))
  }

  /// At every moment as much again as has come, and 2 MiB, is the most.
  @Test func whatIsTakenGrowsWithWhatComes() async throws {
    let length: UInt64 = 4 << 30
    let (upload, id, path) = upload(length)
    let bytes = Fixture.bytes(Self.piece)
    var ahead = 0
    for index in 0..<64 as Range<UInt64> {
      let offset = index * UInt64(Self.piece)
      try await send(upload, id, bytes, at: offset, of: length)
      let (come, size) = (offset + UInt64(Self.piece), try taken(path))
      #expect(size >= come)
      #expect(size <= 2 * come + (3 << 20), "\(size) for \(come)")
      if size > come + (1 << 20) { ahead += 1 }
    }
    // That space is taken in advance is what the limit is for.
    #expect(ahead > 10)
  }

  /// Zeros take no space, and give back what was taken for them.
  @Test func zerosTakeNothing() async throws {
    let length: UInt64 = 1 << 30
    let (upload, id, path) = upload(length)
    let zeros = [UInt8](repeating: 0, count: Self.piece)
    for index in 0..<16 as Range<UInt64> {
      try await send(upload, id, zeros, at: index * UInt64(Self.piece), of: length)
    }
    #expect(try taken(path) <= 64 << 10)
    try await send(
      upload, id, Fixture.bytes(Self.piece), at: 16 * UInt64(Self.piece), of: length)
    for index in 17..<48 as Range<UInt64> {
      try await send(upload, id, zeros, at: index * UInt64(Self.piece), of: length)
    }
    let left = try taken(path)
    #expect(left <= 1 << 20, "\(left)")
  }

  /// Many uploads that are begun and not ended take what they sent, not what they promised.
  @Test func manyPromisesTakeLittle() async throws {
    let store = try Fixture.open(place.path + "/DFS1")
    let user = try await store.user(Fixture.alice)
    let bytes = Fixture.bytes(Self.piece)
    for _ in 0..<32 {
      let id = partID(VersionID.random(), 0)
      try await user.putPart(
        session: 1, UserStore.extent(id, bytes, 0, 2 << 30), bytes: bytes, durable: false)
    }
    let folder = place.path + "/DFS1/alice/tmp"
    let names = try FileManager.default.contentsOfDirectory(atPath: folder)
    #expect(names.count == 32)
    let sum = try names.reduce(0) { $0 + (try taken(folder + "/" + $1)) }
    #expect(sum <= 32 * 3 << 20, "\(sum >> 20) MiB")
    user.endSession(1)
    try await eventually("they are gone with their connection") {
      try FileManager.default.contentsOfDirectory(atPath: folder).isEmpty
    }
    await store.close()
  }
}
