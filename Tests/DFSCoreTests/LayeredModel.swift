import DFSCore
import DFSTestSupport

/// A file as an array of bytes, and the base and layers that say the same: each operation is performed on the array,
/// and noted as who writes a file notes it until a layer is made of it.
struct LayeredModel {
  /// A layer, with what is in its content.
  struct Written {
    let layer: Layer
    let extents: [LayerExtent]
    let content: [UInt8]
  }

  private enum Mark { case below, data, zeros }

  static let sizeLimit = 48

  let base: [UInt8]?
  private(set) var written: [Written] = []
  /// The file.
  private(set) var bytes: [UInt8]
  /// For each byte whether somebody wrote it: all others are holes.
  private(set) var isData: [Bool]
  private var marks: [Mark] = []
  private var cut = 0

  /// A base or none; of one in four it is empty.
  init(_ random: inout SplitMix64) {
    let size = random.chance(25) ? 0 : random.below(Self.sizeLimit)
    let bytes = (0..<size).map { _ in Self.byte(&random) }
    base = size == 0 && random.chance(50) ? nil : bytes
    self.bytes = bytes
    isData = bytes.map { _ in true }
  }

  /// Never a zero, so that a hole is seen.
  private static func byte(_ random: inout SplitMix64) -> UInt8 { UInt8(1 + random.below(255)) }

  var map: VersionMap { Self.map(of: base, written) }
  /// What the numbers of `map` mean.
  var contents: [[UInt8]] { (base.map { [$0] } ?? []) + written.map(\.content) }

  static func map(of base: [UInt8]?, _ written: [Written]) -> VersionMap {
    var map = VersionMap(base: UInt64(base?.count ?? 0))
    let first = base == nil ? 0 : 1
    for (number, layer) in written.enumerated() {
      map.lay(layer.extents, of: layer.layer, source: first + number)
    }
    return map
  }

  // MARK: Writing

  /// Up to four operations, made one layer; without any it only says that nothing changed.
  mutating func write(_ random: inout SplitMix64) {
    marks = Array(repeating: .below, count: bytes.count)
    cut = bytes.count
    for _ in 0..<random.below(5) { perform(&random) }
    let extents = extents(&random)
    let index = (0..<random.pick([0, 0, 1, 7])).map { _ in Self.byte(&random) }
    let data = extents.filter { !$0.isZeros }.flatMap { extent in
      extent.range.map { bytes[Int($0)] }
    }
    written.append(
      Self.written(
        extents, index + data, indexBytes: index.count, cut: UInt64(cut),
        size: UInt64(bytes.count), number: written.count))
  }

  private mutating func perform(_ random: inout SplitMix64) {
    switch random.below(5) {
    case 0, 1:
      let start = random.below(min(bytes.count + 8, Self.sizeLimit))
      let end = min(start + 1 + random.below(12), Self.sizeLimit)
      resize(to: max(bytes.count, end))
      for place in start..<end {
        (bytes[place], isData[place], marks[place]) = (Self.byte(&random), true, .data)
      }
    case 2: resize(to: random.chance(20) ? 0 : random.below(bytes.count + 1))
    case 3: resize(to: min(bytes.count + random.below(12), Self.sizeLimit))
    default:
      let start = random.below(bytes.count + 1)
      for place in start..<min(start + 1 + random.below(12), bytes.count) {
        (bytes[place], isData[place], marks[place]) = (0, false, .zeros)
      }
    }
  }

  private mutating func resize(to size: Int) {
    cut = min(cut, size)
    let more = size - bytes.count
    if more < 0 {
      bytes.removeLast(-more)
      isData.removeLast(-more)
      marks.removeLast(-more)
    } else {
      bytes += Array(repeating: 0, count: more)
      isData += Array(repeating: false, count: more)
      marks += Array(repeating: .below, count: more)
    }
  }

  /// The marks as extents. Some touch each other; zeros that nothing below can show through may be left out.
  private func extents(_ random: inout SplitMix64) -> [LayerExtent] {
    var extents: [LayerExtent] = []
    var start = 0
    while start < marks.count {
      let mark = marks[start]
      var end = start + 1
      while end < marks.count, marks[end] == mark, !random.chance(10) { end += 1 }
      let isNeeded = mark == .data || mark == .zeros && (start < cut || random.chance(50))
      if isNeeded {
        extents.append(LayerExtent(UInt64(start)..<UInt64(end), isZeros: mark == .zeros))
      }
      start = end
    }
    return extents
  }

  static func written(
    _ extents: [LayerExtent], _ content: [UInt8], indexBytes: Int = 0, cut: UInt64, size: UInt64,
    number: Int
  ) -> Written {
    let md5 = MD5Digest.of(content)
    let stored = Content(
      id: VersionID(high: 7, low: UInt64(number)), size: UInt64(content.count), md5: md5,
      placement: Placement(md5: md5), partDigests: PartIndex.all.map { _ in BlockChecksum(0) })
    let index = indexBytes == 0 ? Layer.Index.row(extents) : .content(bytes: UInt32(indexBytes))
    let layer = Layer(
      inode: InodeID(UInt64(1000 + number)), content: stored, cut: cut, size: size, index: index)
    return Written(layer: layer, extents: extents, content: content)
  }

  // MARK: Merging and settling

  /// The layers with one in the place of some that are next to each other.
  func merging(_ run: Range<Int>) -> [Written] {
    var map = VersionMap.transparent
    for number in run {
      map.lay(written[number].extents, of: written[number].layer, source: number)
    }
    let contents = written.map(\.content)
    let merged = Self.layer(map, of: contents, number: written.count)
    return written[..<run.lowerBound] + [merged] + written[run.upperBound...]
  }

  /// A layer that says what a map says.
  static func layer(_ map: VersionMap, of contents: [[UInt8]], number: Int) -> Written {
    let extents = map.extents
    let read = read(map, of: contents).bytes
    let data = extents.filter { !$0.isZeros }.flatMap { extent in
      extent.range.map { Int($0) < read.count ? read[Int($0)] : 0 }
    }
    return written(extents, data, cut: map.cut, size: map.size, number: number)
  }

  // MARK: Reading

  /// All that a map says: the bytes, and which of them are data.
  static func read(
    _ map: VersionMap, of contents: [[UInt8]]
  ) -> (bytes: [UInt8], isData: [Bool]) {
    read(map, 0..<map.size, of: contents)
  }

  static func read(
    _ map: VersionMap, _ range: Range<UInt64>, of contents: [[UInt8]]
  ) -> (bytes: [UInt8], isData: [Bool]) {
    var bytes = [UInt8](repeating: 0, count: range.count)
    var isData = [Bool](repeating: false, count: range.count)
    for piece in map.pieces(of: range) {
      guard let source = piece.source else { continue }
      for place in piece.range {
        let index = Int(place - range.lowerBound)
        let position = Int(piece.position + place - piece.range.lowerBound)
        isData[index] = true
        // Zeros are nobody's data: bytes of no content are seen.
        guard contents.indices.contains(source), position < contents[source].count else { continue }
        bytes[index] = contents[source][position]
      }
    }
    return (bytes, isData)
  }
}
