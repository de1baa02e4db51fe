import DFSCore
import Testing

/// Cases of layers over each other that are easily got wrong, each with its segments.
@Suite struct VersionMapCaseTests {
  private typealias Segment = VersionMap.Segment

  private func data(_ range: Range<UInt64>) -> LayerExtent { LayerExtent(range) }
  private func zeros(_ range: Range<UInt64>) -> LayerExtent { LayerExtent(range, isZeros: true) }

  private func map(
    base: UInt64, _ layers: ([LayerExtent], cut: UInt64, size: UInt64)...
  ) -> VersionMap {
    var map = VersionMap(base: base)
    for (number, (extents, cut, size)) in layers.enumerated() {
      map.lay(extents, from: 0, source: number + 1, cut: cut, size: size)
    }
    return map
  }

  @Test func aBaseAlone() {
    #expect(map(base: 10).segments == [Segment(0..<10, source: 0, position: 0)])
    let empty = map(base: 0)
    #expect(empty.segments.isEmpty && empty.size == 0 && empty.extents.isEmpty)
    #expect(empty.pieces(of: 0..<100).isEmpty)
    #expect(empty.next(true, from: 0) == nil && empty.next(false, from: 0) == nil)
  }

  @Test func whatIsWrittenInTheMiddleLeavesBothSidesWhereTheyWere() {
    let map = map(base: 100, ([data(40..<60)], cut: 100, size: 100))
    #expect(
      map.segments == [
        Segment(0..<40, source: 0, position: 0), Segment(40..<60, source: 1, position: 0),
        Segment(60..<100, source: 0, position: 60),
      ])
    #expect(
      map.pieces(of: 50..<70) == [
        Segment(50..<60, source: 1, position: 10), Segment(60..<70, source: 0, position: 60),
      ])
  }

  @Test func severalExtentsAreOneAfterTheOtherInTheContent() {
    let map = map(base: 0, ([data(5..<8), zeros(10..<20), data(20..<30)], cut: 0, size: 40))
    #expect(
      map.segments == [
        Segment(5..<8, source: 1, position: 0), Segment(10..<20, source: nil, position: 0),
        Segment(20..<30, source: 1, position: 3),
      ])
  }

  @Test func theIndexInTheContentComesFirst() throws {
    let layer = LayeredModel.written(
      [data(2..<4)], [9, 9, 9, 1, 2], indexBytes: 3, cut: 4, size: 4, number: 0
    ).layer
    var map = VersionMap(base: 4)
    map.lay([data(2..<4)], of: layer, source: 1)
    #expect(map.segments.last == Segment(2..<4, source: 1, position: 3))
  }

  @Test func whatWasCutOffDoesNotComeBackWhenTheFileGrows() {
    let map = map(base: 100, ([], cut: 30, size: 80))
    #expect(map.segments == [Segment(0..<30, source: 0, position: 0)] && map.size == 80)
    #expect(map.next(false, from: 0) == 30 && map.next(true, from: 30) == nil)
    // Nor what an older layer had there.
    let three = self.map(
      base: 10, ([data(50..<60)], cut: 10, size: 60), ([], cut: 55, size: 55),
      ([], cut: 55, size: 90))
    #expect(
      three.segments == [
        Segment(0..<10, source: 0, position: 0), Segment(50..<55, source: 1, position: 0),
      ])
    #expect(three.size == 90)
  }

  /// An extent behind the cut is there, what is below behind the cut is not, on neither side of it.
  @Test func anExtentBehindTheCut() {
    let map = map(base: 100, ([data(20..<25), data(60..<70)], cut: 30, size: 100))
    #expect(
      map.segments == [
        Segment(0..<20, source: 0, position: 0), Segment(20..<25, source: 1, position: 0),
        Segment(25..<30, source: 0, position: 25), Segment(60..<70, source: 1, position: 5),
      ])
    let across = self.map(base: 100, ([data(25..<35)], cut: 30, size: 100))
    #expect(
      across.segments == [
        Segment(0..<25, source: 0, position: 0), Segment(25..<35, source: 1, position: 0),
      ])
  }

  @Test func zerosHideWhatIsBelowOnBothSidesOfTheCut() {
    let map = map(base: 100, ([zeros(20..<30), zeros(80..<90)], cut: 50, size: 100))
    #expect(map.pieces(of: 0..<100).map(\.range) == [0..<20, 30..<50])
    #expect(map.next(false, from: 0) == 20 && map.next(true, from: 20) == 30)
    #expect(map.next(false, from: 95) == 95)
    // As a layer: zeros are needed only where something below may show.
    var layers = VersionMap.transparent
    layers.lay([zeros(20..<30), zeros(80..<90)], from: 0, source: 0, cut: 50, size: 100)
    #expect(layers.extents == [zeros(20..<30)] && layers.cut == 50)
    layers.lay([], from: 0, source: 1, cut: 25, size: 100)
    #expect(layers.extents == [zeros(20..<25)] && layers.cut == 25)
  }

  @Test func extentsThatTouch() {
    let map = map(
      base: 20, ([data(0..<5), data(5..<10), zeros(10..<12), data(12..<14)], cut: 20, size: 20))
    #expect(
      map.segments == [
        Segment(0..<10, source: 1, position: 0), Segment(10..<12, source: nil, position: 0),
        Segment(12..<14, source: 1, position: 10), Segment(14..<20, source: 0, position: 14),
      ])
    #expect(map.next(false, from: 0) == 10)
    // Of different layers they are different bytes, but one extent of a merged layer.
    var layers = VersionMap.transparent
    layers.lay([data(0..<5)], from: 0, source: 0, cut: 20, size: 20)
    layers.lay([data(5..<9)], from: 0, source: 1, cut: 20, size: 20)
    #expect(layers.segments.count == 2 && layers.extents == [data(0..<9)])
    #expect(layers.next(false, from: 0) == 9)
  }

  /// One that says nothing leaves the segments in one piece.
  @Test func anEmptyLayer() {
    let one = map(base: 100, ([], cut: 100, size: 100))
    #expect(one.segments == [Segment(0..<100, source: 0, position: 0)])
    let larger = map(base: 100, ([], cut: 100, size: 300))
    #expect(larger.segments == one.segments && larger.size == 300)
    let nothing = map(base: 100, ([], cut: 0, size: 0))
    #expect(nothing.segments.isEmpty && nothing.size == 0)
    let grown = map(base: 100, ([], cut: 0, size: 0), ([data(3..<4)], cut: 0, size: 10))
    #expect(grown.segments == [Segment(3..<4, source: 2, position: 0)])
  }

  /// The upper layer's cut ends what the lower ones have, but not what it has itself.
  @Test func mergingDropsWhatTheUpperLayerCutOff() {
    var layers = VersionMap.transparent
    layers.lay([data(10..<20), data(50..<60)], from: 0, source: 0, cut: 100, size: 100)
    layers.lay([data(55..<57)], from: 0, source: 1, cut: 15, size: 80)
    #expect(layers.extents == [data(10..<15), data(55..<57)])
    #expect(layers.cut == 15 && layers.size == 80)
    #expect(
      layers.segments == [
        Segment(10..<15, source: 0, position: 0), Segment(55..<57, source: 1, position: 0),
      ])
    // Cut by the lower one, it stays cut.
    var other = VersionMap.transparent
    other.lay([], from: 0, source: 0, cut: 5, size: 50)
    other.lay([], from: 0, source: 1, cut: 40, size: 90)
    #expect(other.cut == 5 && other.size == 90 && other.extents.isEmpty)
  }

  @Test func layersAloneShowWhatIsBelow() {
    #expect(VersionMap.transparent.segments.isEmpty)
    #expect(VersionMap.transparent.cut == .max)
    var layers = VersionMap.transparent
    layers.lay([], from: 0, source: 0, cut: 70, size: 70)
    #expect(layers.cut == 70)
  }

  @Test func theLargestFile() {
    let size = Limits.fileBytes
    let map = map(
      base: size, ([data(size - 1..<size)], cut: size, size: size),
      ([zeros(0..<size - 2)], cut: size, size: size))
    #expect(
      map.segments == [
        Segment(0..<size - 2, source: nil, position: 0),
        Segment(size - 2..<size - 1, source: 0, position: size - 2),
        Segment(size - 1..<size, source: 1, position: 0),
      ])
    #expect(map.pieces(of: 0 ..< .max).count == 2)
    #expect(map.next(true, from: 0) == size - 2 && map.next(false, from: size - 1) == size)
  }

  /// A file that was written at 20,000 places: each is found.
  @Test func manyExtents() {
    let extents = (0..<20_000 as Range<UInt64>).map { data($0 * 10 + 3..<$0 * 10 + 5) }
    let map = map(base: 200_000, (extents, cut: 200_000, size: 200_000))
    #expect(map.segments.count == 40_001)
    for number in stride(from: 0 as UInt64, to: 20_000, by: 97) {
      #expect(
        map.pieces(of: number * 10..<number * 10 + 4) == [
          Segment(number * 10..<number * 10 + 3, source: 0, position: number * 10),
          Segment(number * 10 + 3..<number * 10 + 4, source: 1, position: number * 2),
        ])
    }
  }
}
