internal import Synchronization

/// A count that takes as long as there is much: of much it is not taken anew each time.
final class SparingCount: Sendable {
  /// So many are counted each time.
  static let few: UInt64 = 10_000
  /// What counting may take of the time.
  private static let share = 50

  private let known = Mutex<(count: UInt64, until: ContinuousClock.Instant)?>(nil)

  func count(_ body: () throws -> UInt64) rethrows -> UInt64 {
    let start = ContinuousClock.now
    if let known = known.withLock({ $0 }), start < known.until { return known.count }
    let count = try body()
    let until = start + (ContinuousClock.now - start) * Self.share
    known.withLock { $0 = count > Self.few ? (count, until) : nil }
    return count
  }
}
