internal import DFSClient
internal import DFSCore
internal import Synchronization

/// What was done to a spool since it was published: what a layer would have.
///
/// Invariant: what is not in `ranges`, and below `cut`, is as it was published.
struct SpoolChanges: Sendable {
  /// What was written, or made zeros, all of it below the end.
  private(set) var ranges = RangeSet<UInt64>()
  /// The smallest size since then.
  private(set) var cut: UInt64

  /// None yet.
  /// - Parameter size: of what is published.
  init(since size: UInt64) { cut = size }

  /// Bytes that were written.
  var byteCount: UInt64 { ranges.ranges.reduce(0) { $0 + UInt64($1.count) } }

  /// - Parameters:
  ///   - here: all that is not only below, of which more than was written may be noted.
  ///   - limit: to so many ranges.
  mutating func note(_ range: Range<UInt64>, here: () -> RangeSet<UInt64>, limit: Int) {
    guard !range.isEmpty else { return }
    ranges.insert(contentsOf: range)
    if ranges.ranges.count > limit { ranges.formUnion(here()) }
  }

  mutating func cut(at size: UInt64) {
    ranges.remove(contentsOf: size..<UInt64.max)
    cut = min(cut, size)
  }
}

extension Spool.State {
  /// A range was written.
  mutating func noteChange(_ range: Range<UInt64>, limit: Int) {
    let (size, missing) = (size, below?.missing)
    changes.note(
      range,
      here: {
        var here = RangeSet(0..<max(size, range.upperBound))
        if let missing { here.subtract(missing) }
        return here
      }, limit: limit)
  }
}

/// When a change is stored as a layer.
enum LayerPolicy: String, Sendable, CaseIterable {
  /// When that is less than the whole.
  case auto
  /// Whenever there is something below.
  case always
}

extension Spool {
  /// How the content is best published. While nobody writes.
  /// - Parameter below: the version that it was made from.
  func form(over below: Version?, _ policy: LayerPolicy) throws(DFSError) -> PublishForm {
    let (size, changes, isWhole, allocated) = state.withLock {
      ($0.size, $0.changes, $0.below == nil, $0.file == nil ? $0.size : $0.allocated)
    }
    // Then holes are not sent.
    let isSparse = size > Self.wholeBytes && size - min(size, allocated) >= max(1 << 20, size / 16)
    if below == nil {
      guard isSparse else { return .whole }
    } else if policy == .auto {
      guard size > Self.wholeBytes else { return .whole }
      if isWhole, changes.byteCount >= size / 2, !isSparse { return .whole }
    } else if below?.size == 0 {
      return .whole
    }
    let cut = min(changes.cut, below?.size ?? 0)
    return .layer(Patch(over: below, try extents(of: changes.ranges), cut: cut, size: size))
  }

  /// A file of so many bytes is published whole: it travels inside the change.
  private static let wholeBytes = UInt64(Limits.partCount * Limits.inlinePartBytes)

  /// Ranges, with what of them are holes as zeros.
  private func extents(of ranges: RangeSet<UInt64>) throws(DFSError) -> [LayerExtent] {
    let isInFile = state.withLock { $0.file != nil }
    var extents: [LayerExtent] = []
    for range in ranges.ranges {
      guard isInFile, range.count >= Limits.blockBytes else {
        extents.append(LayerExtent(range))
        continue
      }
      var next = range.lowerBound
      while next < range.upperBound {
        let data = min(try seek(next, .data) ?? range.upperBound, range.upperBound)
        if data > next { extents.append(LayerExtent(next..<data, isZeros: true)) }
        guard data < range.upperBound else { break }
        let hole = min(try seek(data, .hole) ?? range.upperBound, range.upperBound)
        extents.append(LayerExtent(data..<hole))
        next = hole
      }
    }
    return extents
  }

  /// All of it is published. While nobody writes.
  func noteStored() { state.withLock { $0.changes = SpoolChanges(since: $0.size) } }
}

/// What was written to a spool, one range after the other, as `FileService.publish` takes a layer.
struct SpoolPatch: ContentSource {
  let size: UInt64
  private let spool: Spool
  private let ranges: [Range<UInt64>]
  private let starts: [UInt64]

  /// The extents that are no zeros; they must not be written meanwhile.
  init(of spool: Spool, _ extents: [LayerExtent]) {
    self.spool = spool
    ranges = extents.filter { !$0.isZeros }.map(\.range)
    var start: UInt64 = 0
    starts = ranges.map { range in
      defer { start += UInt64(range.count) }
      return start
    }
    size = start
  }

  var md5: MD5Digest? { nil }
  var isInMemory: Bool { spool.state.withLock { $0.file == nil } }

  func read(into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64) throws {
    let wanted = offset..<offset + UInt64(buffer.count)
    for index in starts.last(notAfter: offset)..<starts.count
    where starts[index] < wanted.upperBound {
      let part = (starts[index]..<starts[index] + UInt64(ranges[index].count)).clamped(to: wanted)
      guard !part.isEmpty else { continue }
      let place = Int(part.lowerBound - offset)
      try spool.read(
        into: UnsafeMutableRawBufferPointer(rebasing: buffer[place..<place + part.count]),
        at: ranges[index].lowerBound + part.lowerBound - starts[index])
    }
  }
}
