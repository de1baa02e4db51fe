/// The bytes of a layer's extents, in a row or in a content (docs/FORMATS.md, "Inode rows"): the count, then for each
/// the gap from the end of the one before, and twice its length, plus one for zeros; all as LEB128 numbers.
public enum LayerIndex {
  /// Bytes of an index that a row may have; a longer one is in the content.
  public static let rowBytes = 256
  /// Bytes of an index at most.
  public static let bytesLimit = 16 << 20

  /// The bytes of extents, which are ascending and apart from each other.
  public static func encoded(_ extents: [LayerExtent]) -> [UInt8] {
    var bytes: [UInt8] = []
    bytes.put(UInt64(extents.count))
    var end: UInt64 = 0
    for extent in extents {
      bytes.put(extent.range.lowerBound - end)
      bytes.put(UInt64(extent.range.count) << 1 | (extent.isZeros ? 1 : 0))
      end = extent.range.upperBound
    }
    return bytes
  }

  /// The extents of `layer`, from the bytes of its index.
  /// - Throws: `damaged` if they are none, reach behind the file's end, or have other bytes than the content.
  public static func extents(
    _ bytes: [UInt8], of layer: Layer
  ) throws(DFSError) -> [LayerExtent] {
    let extents = try decoded(bytes, size: layer.size)
    try check(extents, of: layer)
    return extents
  }

  /// Whether extents may be those of a layer.
  /// - Throws: `damaged`.
  public static func check(_ extents: [LayerExtent], of layer: Layer) throws(DFSError) {
    let (sum, overflow) = extents.storedBytes.addingReportingOverflow(layer.dataStart)
    guard !overflow, sum == layer.content.size else {
      throw DFSError(
        .damaged,
        "layer \(layer.inode) has \(layer.content.size) bytes, but its index \(sum)")
    }
  }

  static func decoded(
    _ bytes: [UInt8], size: UInt64
  ) throws(DFSError) -> [LayerExtent] {
    var reader = NumberReader(bytes[...])
    let count = try reader.next()
    guard count <= UInt64(bytes.count / 2) else {
      throw DFSError(.damaged, "an index of \(bytes.count) bytes with \(count) extents")
    }
    var extents: [LayerExtent] = []
    extents.reserveCapacity(Int(count))
    var end: UInt64 = 0
    for _ in 0..<count {
      let (gap, length) = (try reader.next(), try reader.next())
      guard gap <= size - end, length >> 1 > 0, length >> 1 <= size - end - gap else {
        throw DFSError(.damaged, "a layer has an extent behind the end of the file at \(size)")
      }
      extents.append(
        LayerExtent(end + gap..<end + gap + length >> 1, isZeros: length & 1 == 1))
      end += gap + length >> 1
    }
    guard reader.isAtEnd else { throw DFSError(.damaged, "an index has bytes after its end") }
    return extents
  }
}

extension [UInt8] {
  /// Seven bits a byte, the lowest first; the high bit says that more follow (DWARF 5, 7.6).
  fileprivate mutating func put(_ value: UInt64) {
    var rest = value
    while rest >= 0x80 {
      append(UInt8(truncatingIfNeeded: rest) | 0x80)
      rest >>= 7
    }
    append(UInt8(rest))
  }
}

private struct NumberReader {
  private var rest: ArraySlice<UInt8>

  init(_ bytes: ArraySlice<UInt8>) { rest = bytes }

  var isAtEnd: Bool { rest.isEmpty }

  mutating func next() throws(DFSError) -> UInt64 {
    var (value, shift): (UInt64, UInt64) = (0, 0)
    while let byte = rest.popFirst() {
      guard shift < 63 else { break }
      value |= UInt64(byte & 0x7F) << shift
      if byte & 0x80 == 0 {
        // Each number has one form, so that a row that was read is written as it was.
        guard byte > 0 || shift == 0 else { break }
        return value
      }
      shift += 7
    }
    throw DFSError(
      .damaged, "a number of an index does not end, has more than 63 bits, or ends in zeros")
  }
}
