import DFSCore
import Foundation
import Testing

@testable import DFSMount

/// The spool alone: holes, the space that it is charged with, and a full disk.
@Suite struct SpoolTests {
  private func budget(
    disk: UInt64 = 8 << 20, memory: Int = 65536
  ) -> SpoolBudget {
    SpoolBudget(directory: NSTemporaryDirectory(), diskLimit: disk, memoryPerFile: memory)
  }

  private func write(
    _ bytes: [UInt8], to spool: Spool, at offset: UInt64?
  ) throws(DFSError) -> Int {
    try bytes[...].withBytes { bytes throws(DFSError) in
      let (count, unhashed) = try spool.write(bytes, at: offset)
      unhashed?.hash(bytes)
      return count
    }
  }

  private func md5(of spool: Spool) async -> MD5Digest? {
    await SpoolContent(of: spool, from: MemoryClient(MemoryFiles())) {}.md5
  }

  @Test func aHoleTakesNothing() async throws {
    let budget = budget()
    do {
      let spool = Spool(budget: budget)
      _ = try write([1, 2, 3], to: spool, at: 4 << 30)
      #expect(spool.size == 4 << 30 + 3)
      #expect(budget.bytesOnDisk < 1 << 20)
      #expect(try spool.read(at: 4 << 30 - 2, count: 9) == [0, 0, 1, 2, 3])
      let found = try spool.seek(5, .data)
      #expect(found.map { (4 << 30 - 65536...4 << 30).contains($0) } == true)
      #expect(try spool.seek(4 << 30, .hole) == 4 << 30 + 3)
      #expect(try spool.seek(4 << 30 + 3, .data) == nil)
    }
    #expect(budget.bytesOnDisk == 0)
  }

  @Test func aFileHasALimit() throws {
    let spool = Spool(budget: budget())
    #expect(throws: DFSError.self) { try write([1], to: spool, at: Limits.fileBytes) }
    #expect(throws: DFSError.self) { try spool.truncate(to: Limits.fileBytes + 1) }
    #expect(spool.size == 0)
  }

  @Test func whatIsPunchedIsGivenBack() async throws {
    let budget = budget(disk: 4 << 20)
    let spool = Spool(budget: budget)
    let mebibyte = [UInt8](repeating: 7, count: 1 << 20)
    for _ in 1...3 { _ = try write(mebibyte, to: spool, at: nil) }
    #expect(throws: DFSError.self) {
      try write(mebibyte + mebibyte, to: spool, at: nil)
    }
    #expect(try write(mebibyte, to: spool, at: 1 << 20) == 1 << 20, "over what is there")
    try spool.punch(0..<2 << 20)
    #expect(try write(mebibyte + mebibyte, to: spool, at: nil) == 2 << 20)
    #expect(spool.size == 5 << 20)
    #expect(try spool.read(at: 2 << 20 - 1, count: 2) == [0, 7])
    #expect(await md5(of: spool) == nil, "what was hashed on the way is not the content")
    try spool.truncate(to: 0)
    #expect(budget.bytesOnDisk < 65536)
  }

  @Test func spaceIsTakenInAdvance() throws {
    let budget = budget()
    let spool = Spool(budget: budget)
    try spool.allocate(0..<1 << 20, grows: false)
    #expect(spool.size == 0)
    try spool.allocate(0..<5 << 20, grows: true)
    #expect(spool.size == 5 << 20)
    #expect(budget.bytesOnDisk >= 5 << 20)
    #expect(throws: DFSError.self) { try spool.allocate(0..<9 << 20, grows: true) }
    #expect(spool.size == 5 << 20)
    #expect(try spool.read(at: 5 << 20 - 2, count: 9) == [0, 0])
  }

  /// As when a range is copied from another file.
  @Test func zerosAreKeptAsHolesAndHashed() async throws {
    let budget = budget(memory: 0)
    let spool = Spool(budget: budget)
    let zeros = [UInt8](repeating: 0, count: 1 << 20)
    for bytes in [[1, 2, 3], zeros, zeros, [4]] {
      try bytes[...].withBytes { bytes throws(DFSError) in
        try spool.write(bytes, at: nil, keepsHoles: true).unhashed?.hash(bytes)
      }
    }
    #expect(spool.size == 2 << 20 + 4)
    #expect(budget.bytesOnDisk < 1 << 20)
    let expected = [1, 2, 3] + zeros + zeros + [4]
    #expect(try spool.read(at: 0, count: 4 << 20) == expected)
    #expect(await md5(of: spool) == MD5Digest.of(expected))
  }
}
