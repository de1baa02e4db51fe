internal import DFSCore
internal import Synchronization

/// The order of what is done with one file's spool: steps that need it alone (make it from the old
/// version, truncate, publish) come one after another, in the order of asking; quick writes share
/// it as long as no such step is waiting or under way.
final class AsyncLock: Sendable {
  private struct Waiter {
    let continuation: CheckedContinuation<Void, Never>
    let progress: @Sendable () -> Void
  }

  private struct State {
    var isTaken = false
    var sharing = 0
    /// The step that waits for the last quick write to end.
    var forQuiet: CheckedContinuation<Void, Never>?
    var waiting: [Waiter] = []
  }

  private let state = Mutex(State())

  /// Whether a step is waiting or under way.
  var isTaken: Bool { state.withLock { $0.isTaken } }

  /// Enters for a quick write, which ends with `leave`.
  func tryEnter() -> Bool {
    state.withLock { state in
      guard !state.isTaken else { return false }
      state.sharing += 1
      return true
    }
  }

  func leave() {
    let quiet = state.withLock { state in
      state.sharing -= 1
      guard state.sharing == 0 else { return nil as CheckedContinuation<Void, Never>? }
      defer { state.forQuiet = nil }
      return state.forQuiet
    }
    quiet?.resume()
  }

  /// Performs `step` alone.
  /// - Parameter progress: called while it waits, when the step under way makes progress: who waits for
  ///   a long step is not late.
  func alone<Result: Sendable>(
    _ progress: @escaping @Sendable () -> Void = {}, _ step: @Sendable () async throws -> Result
  ) async throws -> Result {
    await take(progress)
    defer { give() }
    try Task.checkCancellation()
    return try await step()
  }

  /// The step under way made progress.
  func noteProgress() {
    for waiter in state.withLock({ $0.waiting }) { waiter.progress() }
  }

  private func take(_ progress: @escaping @Sendable () -> Void) async {
    let isMine = state.withLock { state in
      defer { state.isTaken = true }
      return !state.isTaken
    }
    if !isMine {
      await withCheckedContinuation { continuation in
        let isFree = state.withLock { state in
          if state.isTaken {
            state.waiting.append(Waiter(continuation: continuation, progress: progress))
          }
          defer { state.isTaken = true }
          return !state.isTaken
        }
        if isFree { continuation.resume() }
      }
    }
    await withCheckedContinuation { continuation in
      let isQuiet = state.withLock { state in
        if state.sharing > 0 { state.forQuiet = continuation }
        return state.sharing == 0
      }
      if isQuiet { continuation.resume() }
    }
  }

  private func give() {
    let next = state.withLock { state in
      guard !state.waiting.isEmpty else {
        state.isTaken = false
        return nil as Waiter?
      }
      return state.waiting.removeFirst()
    }
    next?.continuation.resume()
  }
}

/// A step that is done to its end though the task that waits for it be cancelled.
enum Uncancelled {
  static func run<Result: Sendable>(
    _ step: @escaping @Sendable () async throws -> Result
  ) async throws -> Result {
    try await Task { try await step() }.value
  }

  static func run(_ step: @escaping @Sendable () async -> Void) async {
    await Task { await step() }.value
  }
}
