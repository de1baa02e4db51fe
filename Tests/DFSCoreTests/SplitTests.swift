import DFSCore
import Testing

/// Every byte of a content is in exactly one part.
@Suite struct SplitTests {
  static let sizes: [UInt64] = [
    0, 1, 2, 3, 4, 5, 7, 8, 32 << 10, (32 << 10) - 1, (32 << 10) + 1, 128 << 10, (128 << 10) + 3,
    1_000_000, 100_000_007, 5 << 30, (1 << 40) + 1, Limits.fileBytes,
  ]

  @Test(arguments: sizes) func partsAreContiguousAndWhole(size: UInt64) {
    let split = Split(size: size)
    var end: UInt64 = 0
    for part in PartIndex.all {
      #expect(split.range(of: part).lowerBound == end)
      end = split.range(of: part).upperBound
      #expect(split.length(of: part) == (part.number < 4 ? size / 4 : size - 3 * (size / 4)))
    }
    #expect(end == size)
  }

  @Test(arguments: sizes) func piecesMakeTheRange(size: UInt64) {
    let split = Split(size: size)
    let marks = [0, 1, size / 4, size / 4 + 1, size / 2, size / 4 * 3, size &- 1, size, size + 9]
      .filter { $0 <= size + 9 }
    for start in marks {
      for end in marks where end >= start {
        let pieces = split.pieces(of: start..<end)
        let expected = (0..<size).clamped(to: start..<end)
        #expect(pieces.reduce(0) { $0 + UInt64($1.range.count) } == UInt64(expected.count))
        var next = expected.lowerBound
        for piece in pieces {
          #expect(split.range(of: piece.part).lowerBound + piece.range.lowerBound == next)
          #expect(piece.range.upperBound <= split.length(of: piece.part))
          next += UInt64(piece.range.count)
        }
      }
    }
  }

  @Test func everyByteOfSmallFiles() {
    for size in UInt64(0)...40 {
      let split = Split(size: size)
      var bytes: [UInt64] = []
      for part in PartIndex.all { bytes += Array(split.range(of: part)) }
      #expect(bytes == Array(0..<size))
      for start in 0...size {
        for end in start...size {
          let pieces = split.pieces(of: start..<end)
          let got = pieces.flatMap { piece in
            piece.range.map { $0 + split.range(of: piece.part).lowerBound }
          }
          #expect(got == Array(start..<end))
        }
      }
    }
  }

  @Test func smallPartsTravelInside() {
    let limit = UInt64(Limits.inlinePartBytes)
    #expect(Split(size: 0).isInline)
    #expect(Split(size: 4 * limit).isInline)
    #expect(!Split(size: 4 * limit + 1).isInline)
    #expect(!Split(size: 4 * limit + 3).isInline)
  }
}
