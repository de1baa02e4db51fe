import DFSCore
import DFSStoreFixtures

/// A file that was changed in place: the bytes that it has, and the contents that they are stored as.
struct LayeredFile {
  let name: String
  private(set) var bytes: [UInt8] = []
  private(set) var base: Content?
  private(set) var layers: [Layer] = []
  /// The bytes of each content.
  private(set) var stored: [VersionID: [UInt8]] = [:]
  private var seed: UInt64 = 1

  init(_ name: String, base: [UInt8]?) {
    self.name = name
    guard let base else { return }
    bytes = base
    self.base = store(base)
  }

  private mutating func store(_ bytes: [UInt8]) -> Content {
    let content = RescuePlace.version(VersionID.random(), bytes)
    stored[content.id] = bytes
    return content
  }

  /// The inode of the file is the first that a change made; those of its layers are the ones after it.
  static let inode = InodeID(change: 1, index: 0)

  /// Writes other bytes over these extents, as one layer.
  mutating func write(_ extents: [LayerExtent], cut: Int? = nil, size: Int? = nil) {
    seed += 1
    let cut = cut ?? bytes.count
    let size = size ?? max(cut, Int(extents.last?.range.upperBound ?? 0))
    let data = Fixture.bytes(Int(extents.storedBytes), seed: seed)
    let encoded = LayerIndex.encoded(extents)
    let isInRow = encoded.count <= LayerIndex.rowBytes
    add(
      (isInRow ? [] : encoded) + data, extents, cut: cut, size: size,
      isInRow ? .row(extents) : .content(bytes: UInt32(encoded.count)))
    apply(extents, data, cut: cut, size: size)
  }

  /// A layer of any bytes; those of the file stay as they are.
  mutating func add(
    _ content: [UInt8], _ extents: [LayerExtent], cut: Int, size: Int, _ index: Layer.Index
  ) {
    layers.append(
      Layer(
        inode: InodeID(change: 1, index: layers.count + 1), content: store(content),
        cut: UInt64(cut), size: UInt64(size), index: index))
  }

  /// What reads then, said as plainly as possible.
  mutating func apply(_ extents: [LayerExtent], _ data: [UInt8], cut: Int, size: Int) {
    bytes = Array(bytes.prefix(cut))
    bytes += [UInt8](repeating: 0, count: size - bytes.count)
    var next = 0
    for extent in extents {
      for place in extent.range {
        bytes[Int(place)] = extent.isZeros ? 0 : data[next]
        if !extent.isZeros { next += 1 }
      }
    }
  }

  /// Where a part of a layer's bytes is in the file, if the layer has one extent and its index in the row.
  func range(of part: PartIndex, layer number: Int) -> Range<Int> {
    guard case .row(let extents) = layers[number].index, extents.count == 1 else { return 0..<0 }
    let range = layers[number].content.split.range(of: part)
    let start = extents[0].range.lowerBound
    return Int(start + range.lowerBound)..<Int(start + range.upperBound)
  }

  mutating func clear(_ range: Range<Int>) { for place in range { bytes[place] = 0 } }

  /// - Parameter count: of the base and the oldest layers together; all by default.
  func version(contents count: Int = .max, md5: MD5Digest? = nil) -> Version {
    let layers = Array(layers.prefix(base == nil ? count : count - 1))
    if layers.isEmpty, let base { return Version(base) }
    return Version(id: VersionID(high: 9, low: 9), base: base, layers: layers, md5: md5)
  }

  /// Layers of random extents, among which one has its index in its content.
  static func random(layers count: Int) -> LayeredFile {
    var generator = SeededGenerator(state: 5)
    var file = LayeredFile("edited", base: Fixture.bytes(400_000))
    for number in 1...count {
      let size = file.bytes.count
      var cut = size
      if number % 7 == 3 || number == count {
        cut = Int.random(in: size / 2...size, using: &generator)
      }
      var end = cut
      if number % 5 == 2 || number == count { end += Int.random(in: 1...60_000, using: &generator) }
      let extents = extents(
        number == 20 ? 400 : Int.random(in: 1...5, using: &generator), within: end, &generator)
      file.write(extents, cut: cut, size: end)
    }
    return file
  }

  private static func extents(
    _ count: Int, within size: Int, _ generator: inout SeededGenerator
  ) -> [LayerExtent] {
    let step = size / count
    return (0..<count).map { index in
      let start = index * step + Int.random(in: 0..<step / 2, using: &generator)
      let length = Int.random(in: 1...max(1, step / 4), using: &generator)
      return LayerExtent(
        UInt64(start)..<UInt64(start + length), isZeros: Bool.random(using: &generator))
    }
  }
}
