/// The bytes of extents one after the other, as the content of a layer has them; zeros are left out.
public struct PackedExtents: Sendable {
  /// A part of the packed bytes that is consecutive in the file, too.
  public struct Part: Sendable {
    /// Bytes of the file.
    public let file: Range<UInt64>
    /// The same among the packed ones.
    public let packed: Range<UInt64>
  }

  /// Bytes of all of them.
  public let size: UInt64
  private let ranges: [Range<UInt64>]
  private let starts: [UInt64]

  /// - Parameter extents: ascending and apart from each other.
  public init(_ extents: [LayerExtent]) {
    ranges = extents.filter { !$0.isZeros }.map(\.range)
    var start: UInt64 = 0
    starts = ranges.map { range in
      defer { start += UInt64(range.count) }
      return start
    }
    size = start
  }

  /// What a range of the packed bytes is, in order.
  public func parts(of packed: Range<UInt64>) -> [Part] {
    guard !packed.isEmpty else { return [] }
    var parts: [Part] = []
    for index in first(endingAfter: packed.lowerBound)..<ranges.count {
      guard starts[index] < packed.upperBound else { break }
      let range = ranges[index]
      let part = (starts[index]..<starts[index] + UInt64(range.count)).clamped(to: packed)
      let start = range.lowerBound + part.lowerBound - starts[index]
      parts.append(Part(file: start..<start + UInt64(part.count), packed: part))
    }
    return parts
  }

  private func first(endingAfter offset: UInt64) -> Int {
    var (low, high) = (0, ranges.count)
    while low < high {
      let middle = (low + high) / 2
      let end = starts[middle] + UInt64(ranges[middle].count)
      if end <= offset { low = middle + 1 } else { high = middle }
    }
    return low
  }
}
