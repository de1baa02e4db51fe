internal import NIOCore
internal import Synchronization

/// Slows down who guesses passwords: the answer to a wrong one waits, twice as long each time from
/// the same address. A right one never waits, whoever else guesses from that address or at that name.
///
/// Invariant: it remembers at most `addressesLimit` addresses, each for `memory` after its last
/// failure.
final class LoginThrottle: Sendable {
  private static let first = TimeAmount.milliseconds(50)
  private static let longest = TimeAmount.seconds(2)
  private static let memory = TimeAmount.seconds(60)
  private static let addressesLimit = 10_000

  private struct Record {
    var failures = 0
    var last: NIODeadline
  }

  private let records = Mutex<[String: Record]>([:])

  /// Addresses that it remembers.
  var count: Int { records.withLock { $0.count } }

  /// How long the answer to a failed attempt waits.
  func delayOfFailure(from address: String, now: NIODeadline) -> TimeAmount {
    records.withLock { records in
      if records.count >= Self.addressesLimit, records[address] == nil {
        Self.forget(&records, now)
      }
      var record = records[address] ?? Record(last: now)
      if now - record.last >= Self.memory { record.failures = 0 }
      let delay = Self.first * (1 << min(record.failures, 10))
      record.failures += 1
      record.last = now
      records[address] = record
      return min(delay, Self.longest)
    }
  }

  private static func forget(_ records: inout [String: Record], _ now: NIODeadline) {
    records = records.filter { now - $0.value.last < memory }
    if records.count >= addressesLimit { records.removeAll() }
  }
}
