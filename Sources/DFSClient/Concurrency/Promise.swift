internal import DFSCore
internal import Synchronization

/// A result that is found once and awaited by any number of tasks. A task that is cancelled stops
/// waiting; the others, and whoever finds the result, are not disturbed.
final class Promise<Value: Sendable>: Sendable {
  private typealias Waiter = CheckedContinuation<Result<Value, DFSError>, Never>

  private enum State {
    case pending([UInt64: Waiter], next: UInt64)
    case done(Result<Value, DFSError>)
  }

  private let state = Mutex(State.pending([:], next: 0))

  var isDone: Bool {
    state.withLock { if case .done = $0 { true } else { false } }
  }

  /// Tells the result to all who wait, in the order of their asking, and will; the first one counts.
  func fulfil(_ result: Result<Value, DFSError>) {
    let waiters: [Waiter] = state.withLock { state in
      guard case .pending(let waiters, _) = state else { return [] }
      state = .done(result)
      return waiters.count < 2
        ? Array(waiters.values) : waiters.sorted { $0.key < $1.key }.map(\.value)
    }
    for waiter in waiters { waiter.resume(returning: result) }
  }

  func value() async throws(DFSError) -> Value {
    let id = state.withLock { state -> UInt64 in
      guard case .pending(let waiters, let next) = state else { return 0 }
      state = .pending(waiters, next: next + 1)
      return next
    }
    let result = await withTaskCancellationHandler {
      await withCheckedContinuation { wait($0, id: id) }
    } onCancel: {
      giveUp(id)
    }
    return try result.get()
  }

  private func wait(_ waiter: Waiter, id: UInt64) {
    let known: Result<Value, DFSError>? = state.withLock { state in
      switch state {
      case .done(let result): return result
      case .pending where Task.isCancelled: return .failure(.cancelled)
      case .pending(var waiters, let next):
        waiters[id] = waiter
        state = .pending(waiters, next: next)
        return nil
      }
    }
    if let known { waiter.resume(returning: known) }
  }

  private func giveUp(_ id: UInt64) {
    let waiter: Waiter? = state.withLock { state in
      guard case .pending(var waiters, let next) = state else { return nil }
      let waiter = waiters.removeValue(forKey: id)
      state = .pending(waiters, next: next)
      return waiter
    }
    waiter?.resume(returning: .failure(.cancelled))
  }
}

extension DFSError {
  static let cancelled = DFSError(.cancelled, "the call was cancelled")

  /// Any error as the one shape; what is not ours is of `code`.
  init(_ error: any Error, else code: DFSError.Code) {
    switch error {
    case let error as DFSError: self = error
    case is CancellationError: self = .cancelled
    default: self.init(code, "\(error)")
    }
  }
}
