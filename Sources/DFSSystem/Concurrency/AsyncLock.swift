public import DFSCore
internal import Synchronization

/// A lock for tasks: steps that need what it protects alone come one after another, in the order of asking.
/// Quick steps may share it for as long as none of the others waits or is under way.
///
/// Invariants:
/// - Who asked first is let in first, unless its deadline or its cancellation comes before.
/// - Nobody shares the lock while a step has it alone.
public final class AsyncLock: Sendable {
  fileprivate struct Waiter {
    let number: UInt64
    let progress: @Sendable () -> Void
    /// Nil until its task is suspended.
    var continuation: CheckedContinuation<Bool, Never>?
  }

  fileprivate struct State {
    /// Who has the lock alone.
    var holder: UInt64?
    var sharing = 0
    var waiting: [Waiter] = []
    var next: UInt64 = 0
  }

  private let state = Mutex(State())

  /// A lock that nobody has.
  public init() {}

  /// Whether a step is waiting for the lock alone, or has it.
  public var isTaken: Bool { state.withLock(\.isTaken) }

  // MARK: Shared

  /// Enters for a quick step, which ends with `leave`.
  /// - Returns: false, and nothing is to be ended, if another step waits for the lock alone, or has it.
  public func tryEnter() -> Bool {
    state.withLock { state in
      guard !state.isTaken else { return false }
      state.sharing += 1
      return true
    }
  }

  /// Ends a quick step.
  public func leave() {
    state.withLock { state in
      state.sharing -= 1
      return state.admit()
    }?.resume(returning: true)
  }

  // MARK: Alone

  /// Performs `step` alone.
  /// - Parameters:
  ///   - progress: called while it waits, when the step under way makes progress: who waits for a long
  ///     step is not late.
  /// - Throws: `cancelled`, and the step is not begun, if the task is; what the step throws.
  public func alone<Result: Sendable>(
    _ progress: @escaping @Sendable () -> Void = {}, _ step: @Sendable () async throws -> Result
  ) async throws -> Result {
    try await take(progress: progress)
    defer { give() }
    guard !Task.isCancelled else { throw Self.cancelled }
    return try await step()
  }

  /// Waits for the lock, which the caller then has alone until it calls `give`.
  /// - Throws: `timedOut` at the deadline, `cancelled` if the task is while it waits.
  public func take(
    until deadline: ContinuousClock.Instant? = nil,
    in environment: any Environment = SystemEnvironment(),
    progress: @escaping @Sendable () -> Void = {}
  ) async throws(DFSError) {
    let (number, isMine) = state.withLock { $0.ask(progress) }
    if isMine { return }
    let alarm = deadline.map { deadline in
      Task {
        try await environment.sleep(until: deadline)
        giveUp(number)
      }
    }
    defer { alarm?.cancel() }
    let isLetIn = await withTaskCancellationHandler {
      await withCheckedContinuation { wait(number, $0) }
    } onCancel: {
      giveUp(number)
    }
    guard !isLetIn else { return }
    throw Task.isCancelled
      ? Self.cancelled
      : DFSError(.timedOut, "what came before this call took too long; nothing was changed")
  }

  /// Lets in the next who waits.
  public func give() {
    state.withLock { state in
      state.holder = nil
      return state.admit()
    }?.resume(returning: true)
  }

  /// The step under way made progress.
  public func noteProgress() {
    for waiter in state.withLock({ $0.waiting }) { waiter.progress() }
  }

  private static let cancelled = DFSError(.cancelled, "cancelled before anything was changed")

  private func wait(_ number: UInt64, _ continuation: CheckedContinuation<Bool, Never>) {
    let outcome = state.withLock { state -> Bool? in
      if state.holder == number { return true }
      guard let index = state.index(of: number) else { return false }
      state.waiting[index].continuation = continuation
      return nil
    }
    if let outcome { continuation.resume(returning: outcome) }
  }

  private func giveUp(_ number: UInt64) {
    state.withLock { state in
      state.index(of: number).flatMap { state.waiting.remove(at: $0).continuation }
    }?.resume(returning: false)
  }
}

extension AsyncLock.State {
  fileprivate var isTaken: Bool { holder != nil || !waiting.isEmpty }

  fileprivate func index(of number: UInt64) -> Int? {
    waiting.firstIndex { $0.number == number }
  }

  /// Puts the caller at the end of the queue.
  /// - Returns: its number, and whether it has the lock already.
  fileprivate mutating func ask(
    _ progress: @escaping @Sendable () -> Void
  ) -> (number: UInt64, isMine: Bool) {
    next += 1
    waiting.append(AsyncLock.Waiter(number: next, progress: progress))
    _ = admit()
    return (next, holder == next)
  }

  /// Lets in the first who waits, if nobody else is in.
  /// - Returns: what to resume for it, if its task is suspended.
  fileprivate mutating func admit() -> CheckedContinuation<Bool, Never>? {
    guard holder == nil, sharing == 0, !waiting.isEmpty else { return nil }
    let first = waiting.removeFirst()
    holder = first.number
    return first.continuation
  }
}
