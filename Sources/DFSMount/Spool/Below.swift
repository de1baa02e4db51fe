internal import DFSClient
internal import DFSCore
internal import Synchronization

/// The published version that a spool lies over: what was not written is read from it.
///
/// Invariants:
/// - `missing` is not empty, and within the version and the spool's content.
/// - It only shrinks: what was cut off, written or made zeros is the spool's own from then on.
struct Below: Sendable {
  /// Its content is the spool's wherever that lacks bytes.
  var version: Version
  /// The ranges that the spool lacks.
  var missing: RangeSet<UInt64>

  /// Nothing was written yet.
  /// - Parameter version: not empty.
  init(_ version: Version) {
    self.version = version
    missing = RangeSet(0..<version.size)
  }
}

extension Spool.State {
  /// A range need not be read from below any more.
  mutating func noteHere(_ range: Range<UInt64>) {
    guard below != nil, !range.isEmpty else { return }
    below?.missing.remove(contentsOf: range)
    if below?.missing.isEmpty == true { below = nil }
  }
}

/// A spool over a version: it fetches nothing by itself, but tells what is missing, and takes what others
/// fetched.
extension Spool {
  /// What of a range is to be read from the version below; nil if nothing. What is here once stays here; so
  /// who asks first and then reads has all.
  func missing(in range: Range<UInt64>) -> MissingBytes? {
    state.withLock { state in
      guard let below = state.below else { return nil }
      let ranges = below.missing.ranges.parts(of: range)
      return ranges.isEmpty ? nil : MissingBytes(ranges, of: below.version)
    }
  }

  /// All that is to be read from the version below; nil if nothing.
  var missing: MissingBytes? { missing(in: 0..<size) }

  /// The content was published as `version`: what is missing here is read from that from now on, and the one
  /// before is not needed any more. While nobody writes.
  /// - Returns: whether anything is missing.
  func lie(over version: Version) -> Bool {
    state.withLock { state in
      state.origin = version
      state.originFile = nil
      state.changes = SpoolChanges(since: state.size)
      state.below?.version = version
      return state.below != nil
    }
  }

  /// Lets the content go on with the bytes of a version that follow: of which it is the beginning, or which it
  /// begins with. Nothing is copied. While nobody writes.
  /// - Parameter start: where it ends.
  /// - Returns: false if it is something else.
  func share(
    _ version: Version, of file: InodeID, from start: UInt64, to end: UInt64
  ) -> Bool {
    state.withLock { state in
      guard state.size == start, start < end, end <= version.size else { return false }
      if start > 0 {
        guard state.origin == version, state.changes.isNone(of: start), state.below != nil else {
          return false
        }
      }
      state.size = end
      state.origin = version
      state.originFile = file
      state.changes = SpoolChanges(since: end)
      // What is appended now is not appended to what the file has.
      state.changes.grew()
      if start == 0 { state.below = Below(version) }
      state.below?.missing = RangeSet(0..<end)
      state.digest.invalidate()
      return true
    }
  }

  /// Takes bytes of the version below that are missing here, so that they are not fetched again. While nobody
  /// writes.
  /// - Parameter isSpare: it is to leave half of the budget to what is written.
  /// - Throws: `noSpace` if the budget, or the disk, has no room for them.
  func take(_ fetched: FetchedBytes, isSpare: Bool) throws(DFSError) {
    try fetched.bytes.withBytes { bytes throws(DFSError) in
      let step = try state.withLock { state throws(DFSError) in
        try placeFetched(bytes, at: fetched.offset, isSpare: isSpare, &state)
      }
      guard let (file, reserved) = step else { return }
      var done = 0
      defer {
        correct(file, reserved, written: fetched.offset..<fetched.offset + UInt64(done), .none)
      }
      try file.write(bytes, at: fetched.offset, &done)
    }
  }

  /// - Returns: the file that they are to be written to, and the space that is reserved for them; nil if they
  ///   are here.
  private func placeFetched(
    _ bytes: UnsafeRawBufferPointer, at offset: UInt64, isSpare: Bool, _ state: inout State
  ) throws(DFSError) -> (SpoolFile, UInt64)? {
    let range = offset..<offset + UInt64(bytes.count)
    if try prepare(for: range, &state) {
      state.memory.write(bytes, at: offset)
    } else if !bytes.isZero, let file = state.file {
      return (file, try reserve(offset, UInt64(bytes.count), isSpare: isSpare, &state))
    }
    // Nothing was written there: it reads as zeros.
    state.noteHere(range)
    return nil
  }

  // MARK: Many ranges

  /// Whether so many ranges are missing that some are to be fetched before the next write.
  var isFragmented: Bool {
    state.withLock { ($0.below?.missing.ranges.count ?? 0) >= budget.rangesPerFile }
  }

  /// The shortest of the missing ranges, a sixteenth of them.
  var shortestMissing: MissingBytes? {
    state.withLock { state in
      guard let below = state.below else { return nil }
      let ranges = below.missing.ranges
      let shortest = ranges.sorted { $0.count < $1.count }.prefix(max(1, ranges.count / 16))
      return MissingBytes(shortest.sorted { $0.lowerBound < $1.lowerBound }, of: below.version)
    }
  }
}
