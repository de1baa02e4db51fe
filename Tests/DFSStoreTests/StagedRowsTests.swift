import DFSCore
import DFSReplication
import DFSStoreFixtures
import DFSSystem
import DFSTestSupport
import Foundation
import Testing

@testable import DFSStore

/// Rows that come another way than by a change: their user does not fill the disk with them.
@Suite struct StagedRowsTests {
  private static let quota: UInt64 = 2 << 20
  private let place = TemporaryDirectory()

  private func row(_ number: UInt64) -> DFSCore.Row {
    DFSCore.Row(
      key: .inode(InodeID(number)), change: 1,
      value: RowValue(bytes: Fixture.bytes(16 << 10, seed: number)))
  }

  /// Bytes of all that is in the user's directory.
  private func taken() throws -> UInt64 {
    let folder = place.path + "/alice"
    return try (FileManager.default.subpaths(atPath: folder) ?? []).reduce(0) { sum, name in
      sum + (try Disk.status(folder + "/" + name)?.bytes ?? 0)
    }
  }

  private func user() async throws -> (ServerStore, UserStore) {
    let store = try Fixture.open(place.path)
    let user = try await store.user(Fixture.alice)
    try await user.begin()
    user.setQuota(Self.quota)
    return (store, user)
  }

  /// It staged as much as it liked, on as many connections as it liked.
  @Test func whatIsStagedIsBoundedByTheQuota() async throws {
    let (store, user) = try await user()
    var refusals = 0
    for session in UInt64(1)...4 {
      #expect(try await user.refillBegin(session: session, Fixture.view(9)) == nil)
      for page in UInt64(0)..<16 {
        let rows = (0..<16).map { row(page << 8 | $0 + 2) }
        let code = await failure { try await user.refillRows(session: session, rows) }
        guard let code else { continue }
        #expect(code == .quotaExceeded)
        refusals += 1
      }
      let changes = (0..<64 as Range<UInt64>).map { number in
        LogEntry(
          number: number,
          change: Change(
            id: ChangeID(client: ClientID(7), sequence: number),
            writes: [RowWrite(.inode(InodeID(number + 9000)), row(number).value)]),
          digest: .empty)
      }
      if await failure({ try await user.refillChanges(session: session, changes) }) != nil {
        refusals += 1
      }
    }
    #expect(refusals > 40)
    let staged = try taken()
    #expect(staged < 3 * Self.quota, "\(staged)")
    // It ends with its connections, and the same is possible again.
    for session in UInt64(1)...4 { user.endSession(session) }
    try await eventually("the staged rows are gone") { user.sessions.stagedBytes == 0 }
    #expect(try await user.refillBegin(session: 9, Fixture.view(9)) == nil)
    try await user.refillRows(session: 9, (0..<16).map { row($0 + 2) })
    await store.close()
  }

  /// Rows of as many bytes as the quota are brought to a server that has none.
  @Test func whatAnHonestServerHasIsStaged() async throws {
    let (store, user) = try await user()
    let rows = (0..<UInt64(120)).map { row($0 + 2) }
    #expect(try await user.refillBegin(session: 1, Fixture.view(9)) == nil)
    for start in stride(from: 0, to: rows.count, by: 16) {
      try await user.refillRows(session: 1, Array(rows[start..<min(start + 16, rows.count)]))
    }
    let digest = rows.reduce(into: RowDigest.empty) { $0 += RowDigest(of: $1) }
    let to = Head(view: Fixture.view(9), number: 500, digest: digest)
    #expect(try await user.refillEnd(session: 1, Fixture.view(9), to: to) == .installed(to))
    await store.close()
  }

  /// Changes that an install carries count, too.
  @Test func installsAreBoundedByTheQuota() async throws {
    let (store, user) = try await user()
    var (refusal, round) = (nil as DFSError.Code?, 2 as UInt64)
    while refusal == nil, round < 60 {
      let (before, view) = (user.head(), Fixture.view(round))
      let writes = (0..<16).map { index in
        RowWrite(.inode(InodeID(round << 8 | index)), row(round << 8 | index).value)
      }
      let change = Change(id: ChangeID(client: ClientID(7), sequence: round), writes: writes)
      let digest = writes.reduce(into: before.digest) { sum, write in
        guard let value = write.value else { return }
        sum += RowDigest(of: Row(key: write.key, change: before.number + 1, value: value))
      }
      refusal = await failure {
        let to = Head(view: view, number: before.number + 1, digest: digest)
        let reply = try await user.namespace(
          .install(view, from: before, changes: [change], to: to), parts: [], held: [],
          durable: false)
        #expect(reply == .installed(to))
      }
      round += 1
    }
    #expect(refusal == .quotaExceeded)
    #expect(round > 5, "some are taken")
    let all = try taken()
    #expect(all < 6 * Self.quota, "rows, log and what is not checkpointed: \(all)")
    await store.close()
  }
}
