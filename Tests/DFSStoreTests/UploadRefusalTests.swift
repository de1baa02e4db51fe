import DFSCore
import DFSStoreFixtures
import DFSTestSupport
import Foundation
import Synchronization
import Testing

@testable import DFSStore

/// Uploads for which there is no room: each piece is answered, and nothing of them stays.
@Suite struct UploadRefusalTests {
  private let place = TemporaryDirectory()

  private func user() async throws -> (ServerStore, UserStore) {
    let store = try Fixture.open(place.path)
    let user = try await store.user(Fixture.alice)
    user.setQuota(4 << 20)
    return (store, user)
  }

  private func put(
    _ user: UserStore, _ id: PartID, _ piece: Int, of count: Int
  ) async -> DFSError.Code? {
    let bytes = Fixture.bytes(Limits.chunkBytes)
    return await failure {
      try await user.putPart(
        session: 1,
        UserStore.extent(id, bytes, piece * Limits.chunkBytes, count * Limits.chunkBytes),
        bytes: bytes, durable: false)
    }
  }

  /// The first piece is refused, since all is too much; those behind it waited for it for ever.
  @Test func piecesBehindARefusedOneAreRefused() async throws {
    let (store, user) = try await user()
    let id = partID(VersionID.random(), 0)
    let answers = Mutex<[DFSError.Code?]>([])
    let task = Task {
      for piece in 0..<8 {
        let code = await put(user, id, piece, of: 8)
        answers.withLock { $0.append(code) }
      }
    }
    try await eventually("all pieces are answered") { answers.withLock { $0.count } == 8 }
    await task.value
    #expect(answers.withLock { $0 } == Array(repeating: .quotaExceeded, count: 8))
    // It may be begun anew once there is room.
    user.setQuota(20 << 20)
    for piece in 0..<8 { #expect(await put(user, id, piece, of: 8) == nil) }
    await store.close()
  }

  /// A connection that was refused often is not told that it has too many uploads under way.
  @Test func refusedUploadsAreNotUnderWay() async throws {
    let (store, user) = try await user()
    for _ in 0..<Sessions.uploadLimit + 10 {
      #expect(await put(user, partID(VersionID.random(), 0), 0, of: 8) == .quotaExceeded)
    }
    #expect(await put(user, partID(VersionID.random(), 0), 0, of: 1) == nil)
    await store.close()
  }

  /// Three pieces have come, and the fourth is over the quota: the three take nothing any more.
  @Test func whatFailedOnTheWayTakesNothing() async throws {
    let (store, user) = try await user()
    user.setQuota(20 << 20)
    let id = partID(VersionID.random(), 0)
    for piece in 0..<3 { #expect(await put(user, id, piece, of: 4) == nil) }
    #expect(user.sessions.uploadedBytes == UInt64(3 * Limits.chunkBytes))
    user.setQuota(2 << 20)
    #expect(await put(user, id, 3, of: 4) == .quotaExceeded)
    #expect(user.sessions.uploadedBytes == 0)
    let folder = place.path + "/alice/tmp"
    try await eventually("its file is gone") {
      try FileManager.default.contentsOfDirectory(atPath: folder).isEmpty
    }
    #expect(await put(user, partID(VersionID.random(), 0), 0, of: 1) == nil)
    await store.close()
  }

  /// What the writer gave up takes nothing either, whole or on its way, and what still comes of it is
  /// refused.
  @Test func whatIsDroppedTakesNothing() async throws {
    let (store, user) = try await user()
    let version = VersionID.random()
    let (whole, begun) = (partID(version, 0), partID(version, 1))
    #expect(await put(user, whole, 0, of: 1) == nil)
    #expect(await put(user, begun, 0, of: 2) == nil)
    try await user.dropParts([whole, begun])
    #expect(user.sessions.uploadedBytes == 0)
    for name in ["tmp", "parts"] {
      let folder = place.path + "/alice/" + name
      let files = try #require(FileManager.default.enumerator(atPath: folder)).filter {
        "\($0)".contains("\(version)")
      }
      #expect(files.isEmpty, "\(files)")
    }
    #expect(await put(user, begun, 1, of: 2) == .cancelled)
    #expect(await put(user, whole, 0, of: 1) == .cancelled)
    // All of the quota is there again.
    let other = partID(VersionID.random(), 0)
    for piece in 0..<3 { #expect(await put(user, other, piece, of: 3) == nil) }
    await store.close()
  }
}
