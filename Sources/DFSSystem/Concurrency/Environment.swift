public import DFSCore

/// Time and chance, as a program takes them from its machine. A simulation has its own.
public protocol Environment: Sendable {
  /// Goes forward only, also while the machine is suspended.
  var now: ContinuousClock.Instant { get }
  /// The time of day.
  var time: Timestamp { get }
  /// - Throws: `CancellationError` if the task is cancelled before.
  func sleep(until instant: ContinuousClock.Instant) async throws
  /// 64 random bits.
  func bits() -> UInt64
}

extension Environment {
  /// Sleeps for so long, and no less.
  /// - Throws: `CancellationError` if the task is cancelled before.
  public func sleep(for duration: Duration) async throws {
    try await sleep(until: now + duration)
  }

  /// A number from 0 up to 1, without 1.
  public func random() -> Double { Double(bits() >> 11) * 0x1p-53 }

  /// The identity of a content that is being published.
  public func version() -> VersionID { .next(at: time, bits()) }

  /// A number of the range.
  public func random(in range: ClosedRange<Double>) -> Double {
    range.lowerBound + random() * (range.upperBound - range.lowerBound)
  }
}

/// The machine's.
public struct SystemEnvironment: Environment {
  /// All of them are the same.
  public init() {}

  /// As `ContinuousClock` tells it.
  public var now: ContinuousClock.Instant { .now }
  /// The wall clock (clock_gettime(2)).
  public var time: Timestamp { .now }
  /// From the system's generator.
  public func bits() -> UInt64 { .random(in: .min ... .max) }

  /// - Throws: `CancellationError` if the task is cancelled before.
  public func sleep(until instant: ContinuousClock.Instant) async throws {
    try await Task.sleep(until: instant, clock: .continuous)
  }
}
