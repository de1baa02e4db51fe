internal import DFSCore
internal import DFSSystem
internal import DFSTestSupport

/// The world's time and chance.
///
/// `@unchecked Sendable`: as `SimulatedLoop`.
final class SimulatedEnvironment: Environment, @unchecked Sendable {
  private unowned let world: World
  private static let start = ContinuousClock.now
  /// How much faster its clock goes than the world's.
  private let rate: Double

  init(world: World, rate: Double = 1) { (self.world, self.rate) = (world, rate) }

  var now: ContinuousClock.Instant {
    Self.start + .microseconds(rate == 1 ? world.now : Int(Double(world.now) * rate))
  }
  var time: Timestamp {
    Timestamp(
      seconds: 1_700_000_000 + world.now / 1_000_000, nanoseconds: world.now % 1_000_000 * 1_000)
  }
  func bits() -> UInt64 { world.random.next() }

  func sleep(until instant: ContinuousClock.Instant) async throws {
    let nap = Nap()
    try await withTaskCancellationHandler {
      try await withCheckedThrowingContinuation { continuation in
        nap.begin(continuation)
        let time = (instant - now) / .microseconds(1) / rate
        world.after(Int(time.rounded(.up))) { nap.end(.success(())) }
        if Task.isCancelled { nap.end(.failure(CancellationError())) }
      }
    } onCancel: {
      nap.end(.failure(CancellationError()))
    }
  }
}

/// One who sleeps.
///
/// `@unchecked Sendable`: as `SimulatedLoop`; who cancels a task of a world is another task of it.
private final class Nap: @unchecked Sendable {
  private var continuation: CheckedContinuation<Void, any Error>?

  func begin(_ continuation: CheckedContinuation<Void, any Error>) {
    self.continuation = continuation
  }

  func end(_ result: Result<Void, any Error>) {
    continuation.take()?.resume(with: result)
  }
}
