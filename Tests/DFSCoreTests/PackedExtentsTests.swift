import DFSCore
import Testing

/// Extents one after the other.
@Suite struct PackedExtentsTests {
  private let extents = PackedExtents([
    LayerExtent(10..<13), LayerExtent(20..<30, isZeros: true), LayerExtent(30..<31),
    LayerExtent(40..<45),
  ])

  private func parts(_ range: Range<UInt64>) -> [[Range<UInt64>]] {
    extents.parts(of: range).map { [$0.file, $0.packed] }
  }

  @Test func aRangeIsWhatIsThereOfEachExtent() {
    #expect(extents.size == 9 && PackedExtents([]).size == 0)
    #expect(parts(0..<9) == [[10..<13, 0..<3], [30..<31, 3..<4], [40..<45, 4..<9]])
    #expect(parts(2..<4) == [[12..<13, 2..<3], [30..<31, 3..<4]])
    #expect(parts(5..<6) == [[41..<42, 5..<6]] && parts(3..<4) == [[30..<31, 3..<4]])
    #expect(parts(4..<4).isEmpty && parts(9..<20).isEmpty && parts(8..<20) == [[44..<45, 8..<9]])
  }
}
