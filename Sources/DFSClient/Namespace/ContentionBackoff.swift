internal import DFSCore
internal import DFSSystem
internal import Synchronization

/// How long a client needs for a view and a change. One that was superseded leaves that much to the
/// other, whoever waits longer: were its pause to grow each time, it would wait ever longer for one
/// that comes back at once after each change that succeeded (the capture effect of binary
/// exponential backoff).
final class ContentionBackoff: Sendable {
  private static let limits = Duration.milliseconds(10)...Duration.milliseconds(200)

  private static let first = Duration.milliseconds(25)

  private let environment: any Environment
  private let typical = Mutex(first)

  init(_ environment: any Environment) { self.environment = environment }

  /// A change takes less than the view before it.
  func viewTaken(in time: Duration) {
    let time = max(Self.limits.lowerBound, min(Self.limits.upperBound, time * 2))
    typical.withLock { $0 = ($0 * 3 + time) / 4 }
  }

  /// For one call.
  var pause: Pause { Pause(typical.withLock { $0 }, environment) }

  /// For servers, which do not mind being asked together.
  func briefly(until deadline: ContinuousClock.Instant) async throws(DFSError) {
    var pause = Pause(Self.first, environment)
    try await pause.wait(until: deadline)
  }
}

/// A random pause, so that two clients that supersede each other do not go on doing so.
struct Pause {
  private var typical: Duration
  private let environment: any Environment

  /// - Parameter typical: how long the other needs for a change; it has time for some.
  init(_ typical: Duration, _ environment: any Environment) {
    (self.typical, self.environment) = (typical, environment)
  }

  mutating func wait(until deadline: ContinuousClock.Instant) async throws(DFSError) {
    let pause = typical * environment.random(in: 2...6)
    typical = min(typical * 1.1, .seconds(1))
    guard environment.now + pause < deadline else {
      throw DFSError(.timedOut, "other clients' changes left no room; nothing was changed")
    }
    // A cancelled caller must not make this a pause of nothing.
    await Task { [environment] in try? await environment.sleep(for: pause) }.value
  }
}
