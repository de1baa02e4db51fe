internal import NIOCore

/// How long to wait before connecting again: 50 ms, twice as long each time, at most 2 s, each
/// spread by a quarter so that many clients do not come at once.
struct Backoff {
  static let shortest = TimeAmount.milliseconds(50)
  static let longest = TimeAmount.seconds(2)
  /// After a wrong password, and where the configuration does not fit the server.
  static let hopeless = TimeAmount.seconds(30)

  private var next = Backoff.shortest

  mutating func delay(random: Double = .random(in: 0..<1)) -> TimeAmount {
    defer { next = min(TimeAmount.nanoseconds(next.nanoseconds * 2), Self.longest) }
    return Self.spread(next, random)
  }

  mutating func reset() { next = Self.shortest }

  static func spread(_ time: TimeAmount, _ random: Double) -> TimeAmount {
    .nanoseconds(Int64(Double(time.nanoseconds) * (0.75 + random / 2)))
  }
}
