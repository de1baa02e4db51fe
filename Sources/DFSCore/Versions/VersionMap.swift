/// Which bytes of which contents a version is made of; a pure value.
///
/// Invariant: the segments are ascending, apart from each other and not empty. Where there is none, the version reads
/// as zeros.
public struct VersionMap: Hashable, Sendable {
  /// Consecutive bytes of one content.
  public struct Segment: Hashable, Sendable {
    /// Bytes of the file.
    public let range: Range<UInt64>
    /// The number of the content, by the order in which they were laid over each other; nil for zeros.
    public let source: Int?
    /// Where its first byte is in the content.
    public let position: UInt64

    /// Bytes `range` of a file, from `position` on in a content.
    public init(_ range: Range<UInt64>, source: Int?, position: UInt64) {
      self.range = range
      self.source = source
      self.position = position
    }

    fileprivate func clamped(to limits: Range<UInt64>) -> Segment? {
      let part = range.clamped(to: limits)
      guard !part.isEmpty else { return nil }
      let skipped = source == nil ? 0 : part.lowerBound - range.lowerBound
      return Segment(part, source: source, position: position + skipped)
    }
  }

  /// In ascending order.
  public private(set) var segments: [Segment] = []
  /// What is below shows up to here.
  public private(set) var cut: UInt64
  /// Bytes of the file.
  public private(set) var size: UInt64

  /// A base alone, as content 0; or nothing.
  /// - Parameter bytes: of the base.
  public init(base bytes: UInt64) {
    (cut, size) = (0, bytes)
    if bytes > 0 { segments = [Segment(0..<bytes, source: 0, position: 0)] }
  }

  /// Layers alone, which lie over something else: what they do not cover is not zeros up to `cut`.
  public static var transparent: VersionMap {
    var map = VersionMap(base: 0)
    map.cut = .max
    return map
  }

  /// Lays extents over all there is.
  /// - Parameters:
  ///   - source: the number of their content.
  ///   - layer: where they are from.
  public mutating func lay(_ extents: [LayerExtent], of layer: Layer, source: Int) {
    lay(extents, from: layer.dataStart, source: source, cut: layer.cut, size: layer.size)
  }

  /// - Parameter start: where the bytes of the first extent are in the content.
  public mutating func lay(
    _ extents: [LayerExtent], from start: UInt64, source: Int?, cut: UInt64, size: UInt64
  ) {
    var result = SegmentList(capacity: segments.count + 2 * extents.count)
    var position = start
    var index = 0
    var done: UInt64 = 0
    func below(to end: UInt64) {
      let limits = done..<max(done, min(end, cut))
      while index < segments.count, segments[index].range.lowerBound < limits.upperBound {
        if let part = segments[index].clamped(to: limits) { result.append(part) }
        guard segments[index].range.upperBound <= limits.upperBound else { break }
        index += 1
      }
    }
    for extent in extents {
      below(to: extent.range.lowerBound)
      result.append(
        Segment(
          extent.range, source: extent.isZeros ? nil : source,
          position: extent.isZeros ? 0 : position))
      if !extent.isZeros { position += UInt64(extent.range.count) }
      done = extent.range.upperBound
      while index < segments.count, segments[index].range.upperBound <= done { index += 1 }
    }
    below(to: .max)
    segments = result.segments
    self.cut = min(self.cut, cut)
    self.size = size
  }

  /// What a range is made of, in order; `range` is clamped to the file. Zeros are left out.
  public func pieces(of range: Range<UInt64>) -> [Segment] {
    let range = range.clamped(to: 0..<size)
    guard !range.isEmpty else { return [] }
    var pieces: [Segment] = []
    for segment in segments[first(endingAfter: range.lowerBound)...] {
      guard segment.range.lowerBound < range.upperBound else { break }
      if segment.source != nil, let part = segment.clamped(to: range) { pieces.append(part) }
    }
    return pieces
  }

  /// The extents that a layer of all these has; what is above `cut` and zeros needs none.
  public var extents: [LayerExtent] {
    segments.compactMap { segment in
      guard segment.source == nil else { return LayerExtent(segment.range) }
      let range = segment.range.clamped(to: 0..<min(cut, size))
      return range.isEmpty ? nil : LayerExtent(range, isZeros: true)
    }.joined
  }

  /// The first byte of data, or of a hole, from `offset` on; the end counts as a hole.
  /// - Returns: nil if there is none.
  public func next(_ isData: Bool, from offset: UInt64) -> UInt64? {
    guard offset < size else { return nil }
    var place = offset
    for segment in segments[first(endingAfter: offset)...] where segment.source != nil {
      if isData { return max(place, segment.range.lowerBound) }
      guard segment.range.lowerBound <= place else { return place }
      place = segment.range.upperBound
    }
    return isData ? nil : min(place, size)
  }

  private func first(endingAfter offset: UInt64) -> Int {
    var (low, high) = (0, segments.count)
    while low < high {
      let middle = (low + high) / 2
      if segments[middle].range.upperBound <= offset { low = middle + 1 } else { high = middle }
    }
    return low
  }
}

/// Segments in ascending order; those that continue each other become one.
private struct SegmentList {
  private(set) var segments: [VersionMap.Segment] = []

  init(capacity: Int) { segments.reserveCapacity(capacity) }

  mutating func append(_ segment: VersionMap.Segment) {
    guard let last = segments.last, last.range.upperBound == segment.range.lowerBound,
      last.source == segment.source,
      segment.source == nil || last.position + UInt64(last.range.count) == segment.position
    else { return segments.append(segment) }
    segments[segments.count - 1] = VersionMap.Segment(
      last.range.lowerBound..<segment.range.upperBound, source: last.source,
      position: last.position)
  }
}

extension [LayerExtent] {
  /// The same, with those that touch as one.
  fileprivate var joined: [LayerExtent] {
    reduce(into: []) { joined, extent in
      if let last = joined.last, last.range.upperBound == extent.range.lowerBound,
        last.isZeros == extent.isZeros
      {
        joined[joined.count - 1] = LayerExtent(
          last.range.lowerBound..<extent.range.upperBound, isZeros: last.isZeros)
      } else {
        joined.append(extent)
      }
    }
  }
}
