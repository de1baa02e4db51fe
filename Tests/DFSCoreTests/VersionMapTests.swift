import DFSCore
import DFSTestSupport
import Testing

/// Layers over each other, against a file that is an array of bytes.
@Suite struct VersionMapTests {
  /// Histories of up to six layers.
  private static func histories(_ seeds: Range<UInt64>, _ body: (LayeredModel, UInt64) -> Bool) {
    for seed in seeds {
      var random = SplitMix64(seed: seed)
      var model = LayeredModel(&random)
      for _ in 0..<1 + random.below(6) {
        model.write(&random)
        guard body(model, seed) else { return }
      }
    }
  }

  private static func isEqual(_ map: VersionMap, _ model: LayeredModel, _ contents: [[UInt8]])
    -> Bool
  {
    let read = LayeredModel.read(map, of: contents)
    return map.size == UInt64(model.bytes.count) && read.bytes == model.bytes
      && read.isData == model.isData
  }

  /// Ascending, apart, not empty, within the file and its contents.
  private static func isOrdered(_ map: VersionMap, _ contents: [[UInt8]]) -> Bool {
    var end: UInt64 = 0
    for segment in map.segments {
      guard segment.range.lowerBound >= end, !segment.range.isEmpty,
        segment.range.upperBound <= map.size
      else { return false }
      end = segment.range.upperBound
      guard let source = segment.source else { continue }
      let last = segment.position + UInt64(segment.range.count)
      guard contents.indices.contains(source), last <= UInt64(contents[source].count) else {
        return false
      }
    }
    return true
  }

  @Test func randomHistoriesReadAsWhatWasWritten() {
    Self.histories(0..<3000) { model, seed in
      let (map, contents) = (model.map, model.contents)
      #expect(Self.isEqual(map, model, contents), "seed \(seed)")
      #expect(Self.isOrdered(map, contents), "seed \(seed)")
      return Self.isEqual(map, model, contents)
    }
  }

  @Test func everyRangeIsAPartOfTheWhole() {
    Self.histories(0..<200) { model, seed in
      let (map, contents) = (model.map, model.contents)
      let size = model.bytes.count
      for start in 0...size {
        for end in [start, start + 1, start + 5, size, size + 9] where end >= start {
          let range = start..<min(end, size)
          let read = LayeredModel.read(map, UInt64(start)..<UInt64(min(end, size)), of: contents)
          guard read.bytes == Array(model.bytes[range]), read.isData == Array(model.isData[range]),
            // Beyond the end there is nothing.
            map.pieces(of: UInt64(start)..<UInt64(end)).allSatisfy({
              $0.range.upperBound <= UInt64(size)
            })
          else {
            Issue.record("seed \(seed), bytes \(start) to \(end)")
            return false
          }
        }
      }
      return true
    }
  }

  @Test func dataAndHolesAreFoundFromEveryByteOn() {
    Self.histories(0..<500) { model, seed in
      let (map, size) = (model.map, model.bytes.count)
      for offset in 0...size + 2 {
        let rest = (min(offset, size)..<size)
        let data = rest.first { model.isData[$0] }.map(UInt64.init)
        let hole = offset < size ? UInt64(rest.first { !model.isData[$0] } ?? size) : nil
        guard map.next(true, from: UInt64(offset)) == data,
          map.next(false, from: UInt64(offset)) == hole
        else {
          Issue.record("seed \(seed), byte \(offset)")
          return false
        }
      }
      return true
    }
  }

  // MARK: Merging and settling

  @Test func everyRunOfLayersMayBecomeOne() {
    Self.histories(0..<1500) { model, seed in
      let count = model.written.count
      for start in 0..<count {
        for end in start + 1...count {
          let layers = model.merging(start..<end)
          let contents = (model.base.map { [$0] } ?? []) + layers.map(\.content)
          let map = LayeredModel.map(of: model.base, layers)
          guard Self.isEqual(map, model, contents), Self.isOrdered(map, contents) else {
            Issue.record("seed \(seed), layers \(start) to \(end)")
            return false
          }
          let merged = layers[start]
          guard (try? LayerIndex.check(merged.extents, of: merged.layer)) != nil,
            merged.layer.cut <= merged.layer.size, Self.areNeeded(merged)
          else {
            Issue.record("seed \(seed), layers \(start) to \(end): \(merged)")
            return false
          }
        }
      }
      return true
    }
  }

  /// Extents ascend, those of one form do not touch, and there are no zeros where nothing below shows.
  private static func areNeeded(_ layer: LayeredModel.Written) -> Bool {
    for (one, next) in zip(layer.extents, layer.extents.dropFirst()) {
      guard one.range.upperBound <= next.range.lowerBound,
        one.range.upperBound < next.range.lowerBound || one.isZeros != next.isZeros
      else { return false }
    }
    return layer.extents.allSatisfy { !$0.isZeros || $0.range.upperBound <= layer.layer.cut }
  }

  @Test func mergedLayersMayBeMergedAgain() {
    for seed in 0..<500 as Range<UInt64> {
      var random = SplitMix64(seed: seed)
      var model = LayeredModel(&random)
      for _ in 0..<8 { model.write(&random) }
      var layers = model.written
      while layers.count > 1 {
        let start = random.below(layers.count - 1)
        let run = start..<start + 2 + random.below(layers.count - start - 1)
        var map = VersionMap.transparent
        for number in run {
          map.lay(layers[number].extents, of: layers[number].layer, source: number)
        }
        let merged = LayeredModel.layer(map, of: layers.map(\.content), number: 100)
        layers.replaceSubrange(run, with: [merged])
        let contents = (model.base.map { [$0] } ?? []) + layers.map(\.content)
        #expect(
          Self.isEqual(LayeredModel.map(of: model.base, layers), model, contents), "seed \(seed)")
      }
    }
  }

  @Test func everyPrefixMayBeSettled() {
    for seed in 0..<1500 as Range<UInt64> {
      var random = SplitMix64(seed: seed)
      var model = LayeredModel(&random)
      var prefixes = [model]
      for _ in 0..<5 {
        model.write(&random)
        prefixes.append(model)
      }
      for (count, prefix) in prefixes.enumerated() {
        let rest = Array(model.written[count...])
        // One content, in which holes are bytes.
        let whole = LayeredModel.map(of: prefix.bytes, rest)
        let bytes = LayeredModel.read(whole, of: [prefix.bytes] + rest.map(\.content)).bytes
        #expect(bytes == model.bytes, "seed \(seed), \(count) layers")
        // One layer over nothing, with the holes.
        let map = prefix.map
        #expect(map.cut == 0)
        let sparse = LayeredModel.layer(map, of: prefix.contents, number: 100)
        #expect(sparse.extents.allSatisfy { !$0.isZeros })
        let layers = [sparse] + rest
        #expect(
          Self.isEqual(LayeredModel.map(of: nil, layers), model, layers.map(\.content)),
          "seed \(seed), \(count) layers")
      }
    }
  }

  /// The map of a version is the same whatever its layers were before they became one, but for the numbers.
  @Test func theMapOfAMergedVersionHasTheSameSegments() {
    Self.histories(0..<500) { model, seed in
      let merged = model.merging(0..<model.written.count)
      let base = model.base == nil ? nil : 0
      let one = Self.outline(model.map, base)
      let other = Self.outline(LayeredModel.map(of: model.base, merged), base)
      #expect(one == other, "seed \(seed)")
      return one == other
    }
  }

  /// Where there is data of layers, and where of the base with its positions.
  /// - Parameter base: its number, if there is one.
  private static func outline(_ map: VersionMap, _ base: Int?) -> [VersionMap.Segment] {
    map.segments.filter { $0.source != nil }.reduce(into: []) { outline, segment in
      let source = segment.source == base ? 0 : 1
      let position = source == 0 ? segment.position : segment.range.lowerBound
      if let last = outline.last, last.range.upperBound == segment.range.lowerBound,
        last.source == source
      {
        outline.removeLast()
        outline.append(
          VersionMap.Segment(
            last.range.lowerBound..<segment.range.upperBound, source: source,
            position: last.position))
      } else {
        outline.append(VersionMap.Segment(segment.range, source: source, position: position))
      }
    }
  }
}
