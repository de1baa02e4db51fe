internal import Glibc
internal import Synchronization

/// What the kernel writes from its pages, and reads into them, at once.
///
/// What a process writes is in the pages before it comes here, and is not put there again when it was written. If the
/// kernel drops the pages meanwhile (at an open, or when it is told), and reads them anew before that is written here,
/// they have what was there before, and would keep it. So such pages are dropped once it is written, before the
/// process is told that it is. Nothing waits for that: what is written last of all that is under way has locked no
/// page which was read after it was asked for (fuse_perform_write of Linux).
///
/// Which of two requests the kernel has made first is told by their numbers, which grow (`fuse_in_header.unique`).
final class PagesInFlight: Sendable {
  typealias Number = UInt64

  private struct Read {
    let number: Number
    let pages: Range<UInt64>
  }

  private struct Write {
    let pages: Range<UInt64>
    /// Read since it was asked for.
    var stale = RangeSet<UInt64>()

    mutating func note(_ read: Read, since number: Number) {
      if read.number > number { stale.insert(contentsOf: read.pages.clamped(to: pages)) }
    }
  }

  private struct State {
    var writes: [Number: Write] = [:]
    /// The last ones. Another thread may bring them before it brings what was written before.
    var reads: [Read] = []
    var next = 0
  }

  private static let readCount = 64
  private static let pageBytes: UInt64 = 4096
  private let state = Mutex(State())

  private static func pages(of bytes: Range<UInt64>) -> Range<UInt64> {
    bytes.lowerBound / pageBytes..<(bytes.upperBound + pageBytes - 1) / pageBytes
  }

  /// Pages are about to be read.
  func noteRead(_ bytes: Range<UInt64>, _ number: Number) {
    let read = Read(number: number, pages: Self.pages(of: bytes))
    state.withLock { state in
      if state.reads.count < Self.readCount {
        state.reads.append(read)
      } else {
        state.reads[state.next] = read
        state.next = (state.next + 1) % Self.readCount
      }
      for key in state.writes.keys { state.writes[key]?.note(read, since: key) }
    }
  }

  /// Bytes are to be written, and are in the pages.
  func beginWrite(_ bytes: Range<UInt64>, _ number: Number) {
    state.withLock { state in
      var write = Write(pages: Self.pages(of: bytes))
      for read in state.reads { write.note(read, since: number) }
      state.writes[number] = write
    }
  }

  /// They were written, or will not be.
  /// - Returns: the bytes of the pages that may have what was there before.
  func endWrite(_ number: Number) -> [Range<UInt64>] {
    guard let write = state.withLock({ $0.writes.removeValue(forKey: number) }) else { return [] }
    return write.stale.ranges.map {
      $0.lowerBound * Self.pageBytes..<$0.upperBound * Self.pageBytes
    }
  }
}
