internal import DFSCore
internal import Synchronization

/// One at a time, in the order of asking.
final class NamespaceTurn: Sendable {
  private struct State {
    var isTaken = false
    var next: UInt64 = 0
    var waiting: [(number: UInt64, waiter: CheckedContinuation<Bool, Never>)] = []
  }

  private let state = Mutex(State())

  /// Waits for the turn.
  /// - Throws: `timedOut` at the deadline, `cancelled` if the task is.
  func take(until deadline: ContinuousClock.Instant) async throws(DFSError) {
    let number = state.withLock { state -> UInt64? in
      guard state.isTaken else {
        state.isTaken = true
        return nil
      }
      state.next += 1
      return state.next
    }
    guard let number else { return }
    let alarm = Task {
      try await Task.sleep(until: deadline, clock: .continuous)
      giveUp(number)
    }
    defer { alarm.cancel() }
    let hasIt = await withTaskCancellationHandler {
      await withCheckedContinuation { wait(number, $0) }
    } onCancel: {
      giveUp(number)
    }
    guard hasIt else {
      throw Task.isCancelled
        ? DFSError(.cancelled, "cancelled before anything was changed")
        : DFSError(.timedOut, "changes before this one took too long; nothing was changed")
    }
  }

  /// Gives the turn to the next who waits.
  func pass() {
    let next = state.withLock { state -> CheckedContinuation<Bool, Never>? in
      guard !state.waiting.isEmpty else {
        state.isTaken = false
        return nil
      }
      return state.waiting.removeFirst().waiter
    }
    next?.resume(returning: true)
  }

  private func wait(_ number: UInt64, _ waiter: CheckedContinuation<Bool, Never>) {
    let outcome = state.withLock { state -> Bool? in
      // The turn may have become free since, or the task was cancelled before it waited.
      guard state.isTaken else {
        state.isTaken = true
        return true
      }
      guard !Task.isCancelled else { return false }
      state.waiting.append((number, waiter))
      return nil
    }
    if let outcome { waiter.resume(returning: outcome) }
  }

  private func giveUp(_ number: UInt64) {
    let waiter = state.withLock { state -> CheckedContinuation<Bool, Never>? in
      guard let index = state.waiting.firstIndex(where: { $0.number == number }) else { return nil }
      return state.waiting.remove(at: index).waiter
    }
    waiter?.resume(returning: false)
  }
}
