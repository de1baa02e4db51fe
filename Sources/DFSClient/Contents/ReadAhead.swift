internal import DFSCore

/// How a version is read, and what to fetch before it is asked for: pure decisions.
///
/// A read that begins about where an earlier one ended is sequential. The first continues what may
/// be a `head`, so little is fetched ahead; each further one doubles it up to the limit. Several
/// streams in one content (a download in four parts) are followed at once.
struct ReadAhead {
  enum Access: Equatable {
    /// It goes on where an earlier one ended; `ahead` is to be fetched in the background.
    case stream(ahead: Range<UInt64>?)
    /// At the beginning, or near what was read lately: what is around it may be wanted next.
    case near
    /// Anywhere else.
    case apart
  }

  private struct Stream {
    /// Where the last read ended.
    var next: UInt64
    /// Bytes to be ahead of `next`; 0 until a second read has continued the first.
    var window: UInt64 = 0
    /// The end of what was fetched ahead.
    var fetched: UInt64
    var lastUse: UInt64
  }

  private static let streamsLimit = 8
  private static let firstWindow: UInt64 = 512 << 10
  /// Reads of one stream may come a little out of order: the kernel sends several at once.
  private static let slack: UInt64 = 256 << 10
  /// Less than this is not fetched on its own but at the end.
  private static let leastBytes: UInt64 = 256 << 10

  /// Places that are remembered: of so many blocks.
  private static let placesLimit = 256

  let windowLimit: UInt64
  private var streams: [Stream] = []
  /// The numbers of blocks that reads began in that were no stream's; the oldest is replaced first.
  private var places: [UInt64] = []
  private var nextPlace = 0
  private var clock: UInt64 = 0

  init(windowLimit: UInt64) { self.windowLimit = windowLimit }

  /// A read of `range` (not empty) of a content of `size` bytes.
  mutating func accessed(_ range: Range<UInt64>, size: UInt64) -> Access {
    clock += 1
    guard let index = streams.firstIndex(where: { Self.continues(range, $0) }) else {
      begin(range)
      return isNear(range) ? .near : .apart
    }
    streams[index].lastUse = clock
    streams[index].next = max(streams[index].next, range.upperBound)
    streams[index].window = min(
      max(streams[index].window * 2, Self.firstWindow), windowLimit)
    return .stream(ahead: ahead(of: &streams[index], size: size))
  }

  private mutating func isNear(_ range: Range<UInt64>) -> Bool {
    let place = range.lowerBound / UInt64(Limits.blockBytes)
    if place == 0 || places.contains(place) { return true }
    if places.count < Self.placesLimit {
      places.append(place)
    } else {
      places[nextPlace] = place
      nextPlace = (nextPlace + 1) % Self.placesLimit
    }
    return false
  }

  private static func continues(_ range: Range<UInt64>, _ stream: Stream) -> Bool {
    range.lowerBound + slack >= stream.next && range.lowerBound <= stream.next + slack
  }

  private mutating func begin(_ range: Range<UInt64>) {
    if streams.count == Self.streamsLimit,
      let oldest = streams.indices.min(by: { streams[$0].lastUse < streams[$1].lastUse })
    {
      streams.remove(at: oldest)
    }
    streams.append(
      Stream(next: range.upperBound, fetched: range.upperBound, lastUse: clock))
  }

  private func ahead(of stream: inout Stream, size: UInt64) -> Range<UInt64>? {
    let start = max(stream.fetched, stream.next)
    let end = min(size, stream.next + stream.window)
    guard start < end, end - start >= Self.leastBytes || end == size else { return nil }
    stream.fetched = end
    return start..<end
  }
}
