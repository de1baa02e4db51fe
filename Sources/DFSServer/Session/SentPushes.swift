internal import DFSCore
internal import NIOCore

/// The pushes that a connection was sent, and the last change that each tells.
///
/// Invariant: only those are kept that were sent while the connection had a read lease and that it has not worked off;
/// the lease ends when it leaves them for long.
struct SentPushes {
  private var count: UInt64 = 0
  /// So many were sent before the first that is kept.
  private var before: UInt64 = 0
  private var numbers = CircularBuffer<UInt64>(initialCapacity: 0)

  /// A push was written.
  mutating func sent(_ number: UInt64, isKept: Bool) {
    count += 1
    if isKept {
      numbers.append(number)
    } else {
      (before, numbers) = (count, CircularBuffer(initialCapacity: 0))
    }
  }

  /// The client has worked off so many.
  /// - Throws: `protocolViolation` if that is more than were sent.
  /// - Returns: up to which change; nil if none of them is kept.
  mutating func workedOff(_ pushes: UInt64) throws(DFSError) -> UInt64? {
    guard pushes <= count else {
      throw DFSError(
        .protocolViolation, "\(pushes) pushes were worked off, and \(count) were sent")
    }
    guard pushes > before else { return nil }
    let done = Int(pushes - before)
    let number = numbers.prefix(done).max()
    numbers.removeFirst(done)
    before = pushes
    return number
  }
}
