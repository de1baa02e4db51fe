internal import DFSCore
internal import DFSSystem
internal import Logging
internal import NIOCore
internal import Synchronization

/// Log lines that strangers cause: short, and no more than a few a second, so that nobody fills a
/// disk or hides what others did. How many were left out is said with the next line.
final class StrangerLog: Sendable {
  /// Lines at once, and lines a second after them.
  static let burst = 20
  static let perSecond = 2
  /// Characters of one line's text, and of what a stranger calls itself.
  static let textLimit = 200
  static let nameLimit = 64

  private struct State {
    var tokens = StrangerLog.burst
    var filled = NIODeadline.now()
    var leftOut = 0
  }

  private let state = Mutex(State())

  func log(_ level: Logger.Level, _ text: String, _ logger: Logger, now: NIODeadline = .now()) {
    guard level >= logger.logLevel, let leftOut = take(now) else { return }
    let more = leftOut > 0 ? " (\(leftOut) lines about strangers before it were left out)" : ""
    logger.log(level: level, "\(text.shown(atMost: Self.textLimit))\(more)")
  }

  /// - Returns: nil if the line is one too many, else how many were since the last one that was not.
  private func take(_ now: NIODeadline) -> Int? {
    state.withLock { state in
      let gained = (now - state.filled).nanoseconds / (1_000_000_000 / Int64(Self.perSecond))
      if gained > 0 {
        state.tokens = min(Self.burst, state.tokens + Int(min(gained, Int64(Self.burst))))
        state.filled = now
      }
      guard state.tokens > 0 else {
        state.leftOut += 1
        return nil
      }
      state.tokens -= 1
      defer { state.leftOut = 0 }
      return state.leftOut
    }
  }
}

extension String {
  /// The beginning of a text from outside, its control characters escaped.
  func shown(atMost count: Int) -> String {
    let start = String(unicodeScalars.prefix(count)).printable
    let text = String(start.unicodeScalars.prefix(count))
    return unicodeScalars.dropFirst(count).isEmpty && text == start ? text : text + "…"
  }
}
