import DFSCore

/// The bytes of a spool that are in memory: one range of the content. All around it reads as zeros.
struct SpoolMemory: Sendable {
  private(set) var start: UInt64 = 0
  private(set) var bytes: [UInt8] = []

  var count: Int { bytes.count }
  var range: Range<UInt64> { start..<start + UInt64(bytes.count) }

  /// The range that it has once it covers another one, too.
  func covering(_ other: Range<UInt64>) -> Range<UInt64> {
    if other.isEmpty { return range }
    if bytes.isEmpty { return other }
    return min(start, other.lowerBound)..<max(range.upperBound, other.upperBound)
  }

  /// Gets zeros where it does not reach yet.
  mutating func cover(_ other: Range<UInt64>) {
    let whole = covering(other)
    if bytes.isEmpty { start = whole.lowerBound }
    if whole.lowerBound < start {
      bytes.insert(contentsOf: repeatElement(0, count: Int(start - whole.lowerBound)), at: 0)
      start = whole.lowerBound
    }
    bytes.append(contentsOf: repeatElement(0, count: whole.count - bytes.count))
  }

  /// Within its range.
  mutating func write(_ new: UnsafeRawBufferPointer, at offset: UInt64) {
    let place = Int(offset - start)
    bytes.withUnsafeMutableBytes {
      UnsafeMutableRawBufferPointer(rebasing: $0[place..<place + new.count]).copyMemory(from: new)
    }
  }

  /// Lets go of a range at its beginning or end; what is in the middle becomes zeros.
  mutating func zero(_ other: Range<UInt64>) {
    let part = other.clamped(to: range)
    if part.upperBound == range.upperBound {
      bytes.removeLast(part.count)
    } else if part.lowerBound == start {
      bytes.removeFirst(part.count)
      start = part.upperBound
    } else {
      for place in part { bytes[Int(place - start)] = 0 }
    }
  }

  /// Lets go of what is behind the end of the content.
  mutating func cut(at size: UInt64) {
    let kept = size > start ? min(bytes.count, Int(clamping: size - start)) : 0
    bytes.removeLast(bytes.count - kept)
  }

  func read(into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64) {
    let part = range.clamped(to: offset..<offset + UInt64(buffer.count))
    guard !part.isEmpty else {
      buffer.initializeMemory(as: UInt8.self, repeating: 0)
      return
    }
    let (first, count) = (Int(part.lowerBound - offset), part.count)
    if first > 0 {
      UnsafeMutableRawBufferPointer(rebasing: buffer[..<first]).initializeMemory(
        as: UInt8.self, repeating: 0)
    }
    let place = Int(part.lowerBound - start)
    UnsafeMutableRawBufferPointer(rebasing: buffer[first..<first + count]).copyBytes(
      from: bytes[place..<place + count])
    if first + count < buffer.count {
      UnsafeMutableRawBufferPointer(rebasing: buffer[(first + count)...]).initializeMemory(
        as: UInt8.self, repeating: 0)
    }
  }

  /// The first byte from `offset` on that it has, or that it has not.
  func seek(_ offset: UInt64, _ sought: SpoolFile.Sought) -> UInt64? {
    switch sought {
    case .data: bytes.isEmpty || offset >= range.upperBound ? nil : max(offset, start)
    case .hole: range.contains(offset) ? range.upperBound : offset
    }
  }
}
