import DFSCore
import DFSTestSupport
import Testing

/// Sets of ranges, as a spool has them, against one flag for each byte.
@Suite struct RangeTests {
  @Test(arguments: 1...20 as ClosedRange<UInt64>) func rangesAreThoseOfTheirBytes(seed: UInt64) {
    var random = SplitMix64(seed: seed)
    var set = RangeSet<UInt64>()
    var model = Array(repeating: false, count: 200)
    for _ in 0..<400 {
      let start = random.below(model.count)
      let range = start..<min(model.count, start + random.below(30))
      let isAdded = random.chance(50)
      let bytes = UInt64(range.lowerBound)..<UInt64(range.upperBound)
      if isAdded { set.insert(contentsOf: bytes) } else { set.remove(contentsOf: bytes) }
      for index in range { model[index] = isAdded }
      let expected = Self.ranges(of: model, in: 0..<model.count)
      #expect(Array(set.ranges) == expected, "ascending, apart, and as few as can be")
      #expect(set.ranges.byteCount == UInt64(model.count { $0 }))
      let (first, last) = (random.below(model.count), random.below(model.count + 10))
      let bounds = min(first, last)..<max(first, last)
      #expect(
        set.ranges.parts(of: UInt64(bounds.lowerBound)..<UInt64(bounds.upperBound))
          == Self.ranges(of: model, in: bounds.clamped(to: 0..<model.count)))
    }
  }

  @Test func anEmptyRangeHasNoParts() {
    #expect([0..<10 as Range<UInt64>].parts(of: 5..<5).isEmpty)
    #expect([Range<UInt64>]().parts(of: 0..<5).isEmpty)
    #expect([0..<2, 4..<6 as Range<UInt64>].parts(of: 2..<4).isEmpty)
  }

  private static func ranges(of model: [Bool], in bounds: Range<Int>) -> [Range<UInt64>] {
    bounds.reduce(into: []) { ranges, index in
      guard model[index] else { return }
      if let last = ranges.last, last.upperBound == UInt64(index) {
        ranges[ranges.count - 1] = last.lowerBound..<UInt64(index) + 1
      } else {
        ranges.append(UInt64(index)..<UInt64(index) + 1)
      }
    }
  }
}
