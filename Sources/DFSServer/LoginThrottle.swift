internal import NIOCore
internal import Synchronization

/// Slows down who guesses passwords, by address. The answer to a failure waits, twice as long each
/// time; after `freeFailures` every attempt from that address waits for its turn before it is
/// looked at, so that hanging up early gains nothing.
///
/// Invariant: it remembers at most `addressesBound` addresses, each for `memory` after its last
/// failure.
final class LoginThrottle: Sendable {
  static let freeFailures = 10
  private static let first = TimeAmount.milliseconds(50)
  private static let longest = TimeAmount.seconds(2)
  private static let memory = TimeAmount.seconds(60)
  private static let addressesBound = 10_000

  private struct Record {
    var failures = 0
    var last: NIODeadline
    /// When the next attempt may be looked at.
    var turn: NIODeadline
  }

  private let records = Mutex<[String: Record]>([:])

  /// Addresses that it remembers.
  var count: Int { records.withLock { $0.count } }

  /// How long an attempt from `address` waits before it is looked at.
  func delayOfAttempt(from address: String, now: NIODeadline) -> TimeAmount {
    records.withLock { records in
      guard var record = records[address], now - record.last < Self.memory,
        record.failures >= Self.freeFailures
      else { return .zero }
      defer {
        record.turn = max(record.turn, now) + .milliseconds(500)
        records[address] = record
      }
      return record.turn > now ? record.turn - now : .zero
    }
  }

  /// How long the answer to a failed attempt waits.
  func delayOfFailure(from address: String, now: NIODeadline) -> TimeAmount {
    records.withLock { records in
      if records.count >= Self.addressesBound, records[address] == nil {
        Self.forget(&records, now)
      }
      var record = records[address] ?? Record(last: now, turn: now)
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
    if records.count >= addressesBound { records.removeAll() }
  }
}
