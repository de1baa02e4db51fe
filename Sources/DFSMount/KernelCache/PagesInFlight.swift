internal import Synchronization

/// What the kernel writes from its pages, and reads into them, at once.
///
/// What a process writes is put into the pages before it is sent here, and never again. If the kernel drops the pages
/// meanwhile (at an open, or when it is told), and reads them anew before that is written here, they have what was there
/// before, and would keep it. So these pages are dropped once it is written, before the process is told that it is.
/// Dropping waits for pages that are locked; of those that a write locks itself (fuse_perform_write of Linux) none was
/// read since it was sent.
///
/// Which of two requests the kernel has sent first is told by their numbers, which grow (`fuse_in_header.unique`).
final class PagesInFlight: Sendable {
  typealias Number = UInt64

  private struct Read {
    let number: Number
    let bytes: Range<UInt64>
  }

  private struct Write {
    let number: Number
    let bytes: Range<UInt64>
    /// Read since it was sent.
    var stale = RangeSet<UInt64>()

    mutating func note(_ read: Read) {
      if read.number > number { stale.insert(contentsOf: read.bytes.clamped(to: bytes)) }
    }
  }

  private struct State {
    var writes: [Number: Write] = [:]
    /// The last ones. Another thread may bring them before it brings what was sent before.
    var reads: [Read] = []
    var next = 0
  }

  private static let readCount = 64
  private let state = Mutex(State())

  /// The kernel is about to be given what it reads.
  /// - Parameter bytes: of whole pages.
  func noteRead(_ bytes: Range<UInt64>, _ number: Number) {
    let read = Read(number: number, bytes: bytes)
    state.withLock { state in
      if state.reads.count < Self.readCount {
        state.reads.append(read)
      } else {
        state.reads[state.next] = read
        state.next = (state.next + 1) % Self.readCount
      }
      for key in state.writes.keys { state.writes[key]?.note(read) }
    }
  }

  /// Bytes are to be written, and are in the pages.
  func beginWrite(_ bytes: Range<UInt64>, _ number: Number) {
    state.withLock { state in
      var write = Write(number: number, bytes: bytes)
      for read in state.reads { write.note(read) }
      state.writes[number] = write
    }
  }

  /// They were written, or will not be.
  /// - Returns: those that the pages may not have.
  func endWrite(_ number: Number) -> [Range<UInt64>] {
    state.withLock { $0.writes.removeValue(forKey: number) }.map { Array($0.stale.ranges) } ?? []
  }
}
