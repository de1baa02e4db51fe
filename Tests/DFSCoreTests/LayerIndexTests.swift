import DFSTestSupport
import Testing

@testable import DFSCore

/// The bytes that say where a layer's extents are.
@Suite struct LayerIndexTests {
  private static let size = Limits.fileBytes

  private func layer(_ content: UInt64, size: UInt64 = size, indexBytes: UInt32? = nil) -> Layer {
    let md5 = MD5Digest.of([])
    let stored = Content(
      id: VersionID(high: 1, low: 2), size: content, md5: md5, placement: Placement(md5: md5),
      partDigests: PartIndex.all.map { _ in BlockChecksum(0) })
    return Layer(
      inode: InodeID(9), content: stored, cut: 0, size: size,
      index: indexBytes.map { .content(bytes: $0) } ?? .row([]))
  }

  /// Ascending extents that reach up to a random place; the gaps and lengths have all sizes.
  private func extents(_ random: inout SplitMix64) -> [LayerExtent] {
    var extents: [LayerExtent] = []
    var end: UInt64 = 0
    for _ in 0..<random.below(20) {
      let gap = random.next() >> UInt64(16 + random.below(48))
      let length = 1 + random.next() >> UInt64(16 + random.below(48))
      guard gap + length <= Self.size - end else { break }
      extents.append(LayerExtent(end + gap..<end + gap + length, isZeros: random.chance(30)))
      end += gap + length
    }
    return extents
  }

  @Test func goldenBytes() throws {
    #expect(LayerIndex.encoded([]) == [0])
    let extents = [
      LayerExtent(0..<1), LayerExtent(200..<500, isZeros: true), LayerExtent(500..<564),
    ]
    let bytes = LayerIndex.encoded(extents)
    #expect(bytes.hexadecimal == "03" + "0002" + "c701" + "d904" + "00" + "8001")
    #expect(try LayerIndex.decoded(bytes, size: 564) == extents)
    let last = [LayerExtent(Self.size - 1..<Self.size)]
    #expect(LayerIndex.encoded(last).hexadecimal == "01" + "ffffffffffffff0f" + "02")
    #expect(try LayerIndex.decoded(LayerIndex.encoded(last), size: Self.size) == last)
  }

  @Test func whatIsWrittenIsRead() throws {
    for seed in 0..<3000 as Range<UInt64> {
      var random = SplitMix64(seed: seed)
      let extents = extents(&random)
      let bytes = LayerIndex.encoded(extents)
      #expect(try LayerIndex.decoded(bytes, size: Self.size) == extents, "seed \(seed)")
      // The file may end with the last extent, but not before.
      let end = extents.last?.range.upperBound ?? 0
      #expect(try LayerIndex.decoded(bytes, size: end) == extents, "seed \(seed)")
      if end > 0 {
        #expect(throws: DFSError.self) { try LayerIndex.decoded(bytes, size: end - 1) }
      }
      let layer = layer(extents.storedBytes)
      #expect(try LayerIndex.extents(bytes, of: layer) == extents, "seed \(seed)")
    }
  }

  @Test func theBytesMustBeThoseOfTheContent() {
    let extents = [LayerExtent(0..<10), LayerExtent(10..<20, isZeros: true), LayerExtent(30..<35)]
    let bytes = LayerIndex.encoded(extents)
    #expect(extents.storedBytes == 15)
    for count in 0..<40 as Range<UInt64> {
      let isRight = (try? LayerIndex.extents(bytes, of: layer(count))) == extents
      #expect(isRight == (count == 15))
      // With the index before them.
      let indexed = layer(count, indexBytes: UInt32(bytes.count))
      #expect(indexed.dataStart == UInt64(bytes.count))
      let isRightToo = (try? LayerIndex.extents(bytes, of: indexed)) == extents
      #expect(isRightToo == (count == 15 + UInt64(bytes.count)))
    }
  }

  /// Numbers: the count, then a gap and twice a length for each.
  @Test(
    arguments: [
      "", "80", "01", "0100", "010002ff", "02000200", "0002",
      // No bytes, and no zeros.
      "010000", "010001",
      // More extents than there are bytes for.
      "03000200", "ffffffffffffffff7f", "ffffffffffffffff7f0002",
      // 10 bytes are more than 63 bits.
      "01ffffffffffffffffff0102", "0100ffffffffffffffffff01", "80808080808080808001",
      // Behind the end, at 1000.
      "01e80702", "0100d20f", "01e70704", "01ffffffffffffffff7f02", "0100ffffffffffffffff7f",
      // More than they had to be: each list of extents has one form.
      "8000", "81000002", "01800002", "01008200",
    ])
  func damagedIndexesAreRefused(_ text: String) throws {
    let bytes = try #require([UInt8](hexadecimal: text))
    do {
      let extents = try LayerIndex.decoded(bytes, size: 1000)
      Issue.record("\(extents)")
    } catch {
      #expect(error.code == .damaged)
    }
  }

  @Test func truncatedIndexesAreRefused() {
    for seed in 0..<200 as Range<UInt64> {
      var random = SplitMix64(seed: seed)
      let bytes = LayerIndex.encoded(extents(&random))
      for count in 0..<bytes.count {
        #expect(throws: DFSError.self) {
          try LayerIndex.decoded(Array(bytes.prefix(count)), size: Self.size)
        }
      }
      #expect(throws: DFSError.self) { try LayerIndex.decoded(bytes + [0], size: Self.size) }
    }
  }

  /// Bytes of an enemy: refused, or extents that are within the file and have just these bytes.
  @Test func garbageNeverTraps() {
    var random = SplitMix64(seed: 1)
    for _ in 0..<30_000 {
      let size = random.next() >> UInt64(11 + random.below(53))
      var bytes = (0..<random.below(40)).map { _ in UInt8(truncatingIfNeeded: random.next()) }
      if !bytes.isEmpty, random.chance(80) { bytes[0] = UInt8(random.below(bytes.count)) }
      if random.chance(50) { bytes = bytes.map { $0 & 0x7f } }
      guard let extents = try? LayerIndex.decoded(bytes, size: size) else { continue }
      #expect(LayerIndex.encoded(extents) == bytes)
      var end: UInt64 = 0
      for extent in extents {
        #expect(extent.range.lowerBound >= end && !extent.range.isEmpty)
        end = extent.range.upperBound
      }
      #expect(end <= size && extents.storedBytes <= size)
      var map = VersionMap(base: size)
      map.lay(extents, from: 0, source: 1, cut: size, size: size)
      #expect(map.size == size)
    }
  }
}
