import DFSCore
import Testing

@testable import DFSMount

/// What `df` is told, whatever servers tell.
@Suite struct SpaceTests {
  private static let numbers: [UInt64] = [
    0, 1, 4095, 4096, 1 << 53, 1 << 60, 1 << 63, .max - 1, .max,
  ]

  @Test func usualNumbersAreShownAsTheyAre() {
    let shown = SpaceInBlocks(
      SpaceReport(total: 100 << 20, available: 25 << 20, used: 70 << 20, inodes: 12))
    #expect(shown.all == 25600 && shown.free == 6400 && shown.files == 6412)
    #expect(SpaceInBlocks.block == 4096)
  }

  /// A hostile server adds nothing up to more than 64 bits, and no free space to a disk of none.
  @Test func extremeNumbersTrapNowhere() {
    for total in Self.numbers {
      for available in Self.numbers {
        for inodes in Self.numbers {
          let shown = SpaceInBlocks(
            SpaceReport(total: total, available: available, used: .max, inodes: inodes))
          #expect(UInt64(shown.all) == total / 4096)
          #expect(shown.free <= shown.all && shown.free <= shown.files)
          #expect(UInt64(shown.files - shown.free) == min(inodes, Limits.number))
          // In 64 bits with a sign, as some programs have it.
          #expect(shown.files < 1 << 62)
        }
      }
    }
  }

  /// As `df` prints them: blocks times their size.
  @Test func theBytesOfTheLargestStoreAreANumberOf64Bits() {
    let shown = SpaceInBlocks(
      SpaceReport(
        total: Limits.storeBytes, available: Limits.storeBytes, used: 0, inodes: Limits.number))
    #expect(UInt64(shown.all) * UInt64(SpaceInBlocks.block) == Limits.storeBytes)
    #expect(shown.free == shown.all)
  }
}
