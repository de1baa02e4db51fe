import DFSCore
import DFSTestSupport
import Testing

@Suite struct LockTableTests {
  private let one = FileLock.Owner(.ranges, 1)
  private let two = FileLock.Owner(.ranges, 2)

  private func lock(
    _ owner: FileLock.Owner, _ bytes: ClosedRange<UInt64>, exclusive: Bool = true
  ) -> FileLock { FileLock(owner, bytes, isExclusive: exclusive) }

  /// fcntl(2): a new lock takes the place of what its owner has of these bytes.
  @Test func aLockReplacesAndSplits() {
    var table = LockTable()
    table.set(lock(one, 0...99))
    table.set(lock(one, 40...59, exclusive: false))
    #expect(Set(table.locks.map(\.bytes)) == [0...39, 40...59, 60...99])
    table.clear(50...69, of: one)
    #expect(Set(table.locks.map(\.bytes)) == [0...39, 40...49, 70...99])
    table.set(lock(one, 40...69))
    #expect(table.locks == [lock(one, 0...99)])
    table.clear(0 ... .max, of: one)
    #expect(table.isEmpty)
  }

  /// What was written under an exclusive lock is to be stored before others may read it.
  @Test func aLockIsWeakenedByItsOwnerOnly() {
    var table = LockTable()
    table.set(lock(one, 10...19))
    #expect(table.isWeakened(by: lock(one, 19...30, exclusive: false)))
    #expect(!table.isWeakened(by: lock(one, 10...19)))
    #expect(!table.isWeakened(by: lock(one, 20...30, exclusive: false)))
    #expect(!table.isWeakened(by: lock(two, 10...19, exclusive: false)))
  }

  @Test func onlyOthersAreInTheWay() {
    var table = LockTable()
    table.set(lock(one, 10...19, exclusive: false))
    #expect(table.conflict(with: lock(two, 0...9)) == nil)
    #expect(table.conflict(with: lock(two, 0...10, exclusive: false)) == nil)
    #expect(table.conflict(with: lock(two, 0...10)) != nil)
    #expect(table.conflict(with: lock(one, 0...10)) == nil)
    #expect(table.conflict(with: lock(FileLock.Owner(.whole, 9), 0 ... .max)) == nil)
  }

  /// Against bytes that each have their locks.
  @Test(arguments: 0..<20) func tablesAreThoseOfTheirBytes(seed: UInt64) {
    var random = SplitMix64(seed: seed)
    var table = LockTable()
    var bytes: [[UInt64: Bool]] = Array(repeating: [:], count: 32)
    for _ in 0..<300 {
      let first = UInt64.random(in: 0..<32, using: &random)
      let last = UInt64.random(in: first..<32, using: &random)
      let owner = FileLock.Owner(.ranges, .random(in: 1...3, using: &random))
      let wanted = lock(owner, first...last, exclusive: .random(using: &random))
      if Int.random(in: 0..<3, using: &random) == 0 {
        table.clear(wanted.bytes, of: owner)
        for byte in first...last { bytes[Int(byte)][owner.number] = nil }
        continue
      }
      let isFree = (first...last).allSatisfy { byte in
        bytes[Int(byte)].allSatisfy { $0 == owner.number || !$1 && !wanted.isExclusive }
      }
      #expect((table.conflict(with: wanted) == nil) == isFree)
      guard isFree else { continue }
      table.set(wanted)
      for byte in first...last { bytes[Int(byte)][owner.number] = wanted.isExclusive }
    }
    var found: [[UInt64: Bool]] = Array(repeating: [:], count: 32)
    for lock in table.locks {
      for byte in lock.bytes {
        #expect(found[Int(byte)].updateValue(lock.isExclusive, forKey: lock.owner.number) == nil)
      }
    }
    #expect(found == bytes)
  }
}
