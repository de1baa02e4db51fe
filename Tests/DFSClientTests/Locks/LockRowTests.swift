import DFSCore
import Testing

@testable import DFSClient

@Suite struct LockRowTests {
  private func lock(_ owner: UInt64, _ bytes: ClosedRange<UInt64> = 0...9) -> FileLock {
    FileLock(FileLock.Owner(.ranges, owner), bytes, isExclusive: true)
  }

  @Test func whoIsAloneGetsTheTokenAndGivesItBack() throws {
    var row = LockRow()
    #expect(row.ask(lock(1), by: 1, holding: LockTable(), waits: true) == .granted)
    #expect(row.token == 1)
    #expect(row.ask(lock(2), by: 2, holding: LockTable(), waits: true) == .recalled(from: 1))
    row.list([lock(1)], of: 1)
    #expect(row.token == nil && row.has(1))
    #expect(row.ask(lock(2), by: 2, holding: LockTable(), waits: true) == .excluded(by: 1, lock(1)))
    #expect(row.ask(lock(3, 20...29), by: 2, holding: LockTable(), waits: true) == .granted)
    row.list([], of: 1)
    #expect(
      row.ask(lock(2), by: 2, holding: LockTable([lock(3, 20...29)]), waits: true) == .granted)
    #expect(!row.has(1) && row.locks(of: 2).count == 2)
    #expect(try LockRow(row.encoded()) == row)
  }

  /// Who came first is granted first, and who does not wait stays behind those who do.
  @Test func nobodyOvertakes() {
    var row = LockRow()
    row.list([lock(1)], of: 1)
    for client: UInt64 in 2...3 {
      #expect(
        row.ask(lock(client), by: client, holding: LockTable(), waits: true)
          == .excluded(by: 1, lock(1)))
    }
    row.list([], of: 1)
    #expect(
      row.ask(lock(4), by: 4, holding: LockTable(), waits: false) == .excluded(by: 2, lock(2)))
    #expect(row.ask(lock(3), by: 3, holding: LockTable(), waits: true) == .excluded(by: 2, lock(2)))
    #expect(row.ask(lock(2), by: 2, holding: LockTable(), waits: true) == .granted)
    #expect(row.waiting.map(\.client) == [3])
  }

  /// Who has a lock that others wait for may set it again, or a part of it, or make it exclusive.
  @Test func whoIsWaitedForWaitsForNobodyBehindIt() {
    var row = LockRow()
    let shared = FileLock(FileLock.Owner(.ranges, 1), 0...9, isExclusive: false)
    row.list([shared], of: 1)
    #expect(row.ask(lock(2), by: 2, holding: LockTable(), waits: true) == .excluded(by: 1, shared))
    #expect(row.ask(lock(1), by: 1, holding: LockTable([shared]), waits: true) == .granted)
    #expect(row.locks(of: 1) == [lock(1)])
    // Another owner of the same client waits its turn.
    let other = FileLock(FileLock.Owner(.ranges, 3), 0...9, isExclusive: false)
    row.list([shared], of: 1)
    #expect(
      row.ask(other, by: 1, holding: LockTable([shared]), waits: true) == .excluded(by: 2, lock(2)))
  }

  /// Nobody has what the first wants; but the third waits behind the second, who waits for the first.
  @Test func whoHasALockWaitsForNobodyWhoOnlyWaits() {
    var row = LockRow()
    let held = lock(1, 0...0)
    row.list([held], of: 1)
    let (wide, far) = (lock(2, 0...9), lock(3, 9...9))
    #expect(row.ask(wide, by: 2, holding: LockTable(), waits: true) == .excluded(by: 1, held))
    #expect(row.ask(far, by: 3, holding: LockTable(), waits: true) == .excluded(by: 2, wide))
    #expect(row.ask(lock(1, 8...9), by: 1, holding: LockTable([held]), waits: true) == .granted)
  }

  /// With locks that it wrote under while others wrote, too, a client does not get the token: what it stores goes over
  /// what the others wrote.
  @Test func whoHasLocksGetsNoToken() {
    var row = LockRow()
    row.list([lock(1)], of: 1)
    let own = LockTable([lock(1)])
    #expect(row.ask(lock(1, 20...29), by: 1, holding: own, waits: true) == .granted)
    #expect(row.token == nil && row.locks(of: 1).count == 2)
  }

  /// Who does not know yet that it lost its locks does not get them back with another one.
  @Test func whatIsLostDoesNotComeBack() {
    var row = LockRow()
    row.list([lock(1)], of: 1)
    row.remove(1)
    let own = LockTable([lock(1)])
    #expect(row.ask(lock(1, 20...29), by: 1, holding: own, waits: true) == .lost)
    #expect(row == LockRow())
  }

  @Test func whoIsRemovedHasNothing() throws {
    var row = LockRow()
    row.list([lock(1)], of: 1)
    row.note(lock(2), by: 2)
    row.asked[1] = 7
    row.remove(1)
    #expect(row.clients == [2] && row.asked.isEmpty)
    row.remove(2)
    #expect(try row.encoded() == nil)
  }

  @Test func damagedOrTooLongRowsAreRefused() {
    #expect(throws: DFSError.self) { try LockRow([1, 2, 3]) }
    var row = LockRow()
    for byte: UInt64 in 0...UInt64(LockRow.limit) { row.note(lock(byte, byte...byte), by: 2) }
    #expect { try row.encoded() } throws: { ($0 as? DFSError)?.code == .noLocks }
  }
}
