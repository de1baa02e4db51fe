internal import DFSCore
internal import DFSSystem
internal import Dispatch
internal import Logging
internal import Synchronization

/// What the mount had to refuse, a line each with the path and the reason; but a program that tries
/// again and again must not fill the log: after `burst` lines there is one each `interval`, and of
/// those left out their number is told.
final class RefusalLog: Sendable {
  static let burst = 20
  static let interval = Duration.seconds(2)

  fileprivate struct State {
    /// Lines that may be written now.
    var free = RefusalLog.burst
    /// Since when `free` counts.
    var counted = ContinuousClock.now
    var hidden = 0
  }

  private let logger: Logger
  private let state = Mutex(State())

  init(_ logger: Logger) { self.logger = logger }

  func log(
    _ level: Logger.Level, _ text: @autoclosure () -> String,
    metadata: Logger.Metadata = [:], at now: ContinuousClock.Instant = .now
  ) {
    let (mayLog, hidden, isFirstHidden) = state.withLock { $0.take(now) }
    if isFirstHidden {
      DispatchQueue.global().asyncAfter(deadline: .now() + 2 * Self.interval.seconds) {
        self.tellHidden()
      }
    }
    guard mayLog else { return }
    if hidden > 0 { logger.warning("\(hidden) more refusals are not listed") }
    logger.log(level: level, "\(text())", metadata: metadata)
  }

  /// Those of a burst that nothing followed.
  private func tellHidden() {
    let hidden = state.withLock { state in
      defer { state.hidden = 0 }
      return state.hidden
    }
    if hidden > 0 { logger.warning("\(hidden) more refusals are not listed") }
  }
}

extension RefusalLog.State {
  fileprivate mutating func take(
    _ now: ContinuousClock.Instant
  ) -> (mayLog: Bool, hidden: Int, isFirstHidden: Bool) {
    let more = Int((now - counted) / RefusalLog.interval)
    if more > 0 {
      free = min(RefusalLog.burst, free + more)
      counted = now
    }
    guard free > 0 else {
      hidden += 1
      return (false, 0, hidden == 1)
    }
    free -= 1
    defer { hidden = 0 }
    return (true, hidden, false)
  }
}
