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
  /// Where what was only appended begins, each time wherever the end was; nil if anything else was done.
  private(set) var appendedFrom: UInt64?

  /// None yet.
  /// - Parameter size: of what is published.
  init(since size: UInt64) { (cut, appendedFrom) = (size, size) }

  /// Whether nothing was done to the first bytes of what is published, which are all.
  func isNone(of size: UInt64) -> Bool { ranges.isEmpty && cut == size }

  /// Bytes that were written.
  var byteCount: UInt64 { ranges.ranges.reduce(0) { $0 + UInt64($1.count) } }

  /// - Parameters:
  ///   - isAppended: whether it was written to the end, wherever that is.
  ///   - here: all that is not only below, of which more than was written may be noted.
  ///   - limit: to so many ranges.
  mutating func note(
    _ range: Range<UInt64>, isAppended: Bool, here: () -> RangeSet<UInt64>, limit: Int
  ) {
    guard !range.isEmpty else { return }
    if !isAppended { appendedFrom = nil }
    ranges.insert(contentsOf: range)
    if ranges.ranges.count > limit { ranges.formUnion(here()) }
  }

  mutating func cut(at size: UInt64) {
    ranges.remove(contentsOf: size..<UInt64.max)
    cut = min(cut, size)
    appendedFrom = nil
  }

  /// The size became another without a write.
  mutating func grew() { appendedFrom = nil }
}

extension Spool.State {
  /// A range was written.
  /// - Parameter isAppended: to the end, wherever that is.
  mutating func noteChange(_ range: Range<UInt64>, isAppended: Bool = false, limit: Int) {
    let (size, missing) = (size, below?.missing)
    changes.note(
      range, isAppended: isAppended,
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
  func form(_ policy: LayerPolicy, isMerged: Bool = false) throws(DFSError) -> PublishForm {
    let (size, below, changes, isWhole, allocated) = state.withLock {
      let allocated = $0.file == nil ? UInt64($0.memory.count) : $0.allocated
      return ($0.size, $0.origin, $0.changes, $0.below == nil, allocated)
    }
    // Then holes are not sent.
    let isSparse = Version.isSparse(size: size, stored: allocated)
    if isMerged {
      // What others write meanwhile stays.
    } else if below == nil {
      guard isSparse else { return .whole(appendedFrom: changes.appendedFrom) }
    } else if policy == .auto {
      guard !Split(size: size).isInline else { return .whole(appendedFrom: changes.appendedFrom) }
      if isWhole, changes.byteCount >= size / 2, !isSparse {
        return .whole(appendedFrom: changes.appendedFrom)
      }
    } else if below?.size == 0, !isSparse {
      return .whole(appendedFrom: changes.appendedFrom)
    }
    let cut = min(changes.cut, below?.size ?? 0)
    return .layer(
      Patch(
        over: below, try extents(of: changes.ranges), cut: cut, size: size,
        isAppended: changes.appendedFrom == cut, isMerged: isMerged))
  }

  /// Ranges, with what of them are holes as zeros.
  private func extents(of ranges: RangeSet<UInt64>) throws(DFSError) -> [LayerExtent] {
    var extents: [LayerExtent] = []
    for range in ranges.ranges {
      guard range.count >= Limits.blockBytes else {
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

  /// The version that this is, byte for byte, without being stored itself. While nobody writes.
  var shared: (version: Version, file: InodeID)? {
    state.withLock { state in
      guard let origin = state.origin, let file = state.originFile, state.size == origin.size,
        state.changes.isNone(of: state.size)
      else { return nil }
      return (origin, file)
    }
  }
}

/// What was written to a spool, one range after the other, as `FileService.publish` takes a layer.
struct SpoolPatch: ContentSource {
  private let spool: Spool
  private let extents: PackedExtents

  /// The extents that are no zeros; they must not be written meanwhile.
  init(of spool: Spool, _ extents: [LayerExtent]) {
    self.spool = spool
    self.extents = PackedExtents(extents)
  }

  var size: UInt64 { extents.size }
  var md5: MD5Digest? { nil }
  var isInMemory: Bool { spool.isInMemory(size) }

  func read(into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64) throws {
    for part in extents.parts(of: offset..<offset + UInt64(buffer.count)) {
      let place = Int(part.packed.lowerBound - offset)
      try spool.read(
        into: UnsafeMutableRawBufferPointer(rebasing: buffer[place..<place + part.file.count]),
        at: part.file.lowerBound)
    }
  }
}
