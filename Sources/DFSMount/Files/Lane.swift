internal import DFSCore
internal import Synchronization

/// The order of what is done with one file's spool: steps that need it alone (make it from the old
/// version, truncate, publish) come one after another, in the order of asking; quick writes share
/// it as long as no such step is waiting or under way.
final class Lane: Sendable {
  private struct State {
    var isTaken = false
    var sharing = 0
    /// The step that waits for the last quick write to end.
    var forQuiet: CheckedContinuation<Void, Never>?
    var waiting: [CheckedContinuation<Void, Never>] = []
  }

  private let state = Mutex(State())

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
  func alone<Result: Sendable>(
    _ step: @Sendable () async throws -> Result
  ) async throws -> Result {
    await take()
    defer { give() }
    try Task.checkCancellation()
    return try await step()
  }

  private func take() async {
    let isMine = state.withLock { state in
      defer { state.isTaken = true }
      return !state.isTaken
    }
    if !isMine {
      await withCheckedContinuation { continuation in
        let isFree = state.withLock { state in
          if state.isTaken { state.waiting.append(continuation) }
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
        return nil as CheckedContinuation<Void, Never>?
      }
      return state.waiting.removeFirst()
    }
    next?.resume()
  }
}
