import DFSTestSupport
import Testing

/// That the judge of kept contents bites: it is what EndToEnd.Torture believes.
@Suite struct KeptContentsTests {
  private static func stored(
    _ content: Int, _ begin: UInt64, _ end: UInt64, opened: ClosedRange<UInt64>? = nil
  ) -> StoredContent {
    StoredContent(content: content, begin: begin, end: end, opened: opened, by: "\(content)")
  }

  /// 1 is put; 2 and 3 are opened after it, and 2 is closed before 3.
  private static let twoWriters = [
    stored(1, 0, 10), stored(2, 30, 40, opened: 20...21), stored(3, 50, 60, opened: 22...23),
  ]

  @Test(
    arguments: [
      (3, [2], []), (3, [], [.missed(2)]), (3, [1, 2], [.needless(1)]),
      (3, [2, 2], [.keptTwice(2)]), (3, [2, 4], [.foreign(4)]),
      (2, [2], [.missed(3)]),
    ] as [(Int, [Int], [KeptContents.Fault])])
  func twoWriters(_ last: Int, _ kept: [Int], _ faults: [KeptContents.Fault]) {
    let look = KeptContents(stored: Self.twoWriters, last: last, kept: kept)
    #expect(look.faults == faults)
  }

  @Test func whoOpenedItReplacesItKnowingly() {
    let stored = [Self.stored(1, 0, 10), Self.stored(2, 30, 40, opened: 20...21)]
    #expect(KeptContents(stored: stored, last: 2, kept: []).faults == [])
    #expect(KeptContents(stored: stored, last: 2, kept: [1]).faults == [.needless(1)])
  }

  /// The open of 2 overlaps the publishing of 1: it may have seen it or not.
  @Test func whatOverlappedMayBeEither() {
    let stored = [Self.stored(1, 0, 30), Self.stored(2, 50, 60, opened: 20...40)]
    for kept in [[], [1]] {
      #expect(KeptContents(stored: stored, last: 2, kept: kept).faults == [])
    }
  }

  @Test func aPutKeepsNothing() {
    let stored = [Self.stored(1, 0, 10, opened: 0...1), Self.stored(2, 20, 30)]
    #expect(KeptContents(stored: stored, last: 2, kept: []).faults == [])
    #expect(KeptContents(stored: stored, last: 2, kept: [1]).faults == [.needless(1)])
  }
}
