internal import Dispatch
internal import Synchronization

/// A bounded number of threads for work that blocks (disk, SQLite, checksums of large data), so
/// that it never runs on an event loop or in Swift's cooperative pool.
///
/// Invariants: at most `width` pieces of work run at once; the others wait in order of arrival.
final class WorkQueue: Sendable {
  private struct State {
    var running = 0
    var waiting: [@Sendable () -> Void] = []
    /// Index of the first of `waiting` that was not taken yet.
    var first = 0

    mutating func next() -> (@Sendable () -> Void)? {
      guard first < waiting.count else {
        waiting.removeAll(keepingCapacity: waiting.capacity <= 1024)
        first = 0
        return nil
      }
      defer { first += 1 }
      if first == 1024 {
        waiting.removeSubrange(..<first)
        first = 0
      }
      return waiting[first]
    }
  }

  private let width: Int
  private let queue: DispatchQueue
  private let state = Mutex(State())

  init(label: String, width: Int) {
    precondition(width > 0, "a work queue has at least one thread")
    self.width = width
    queue = DispatchQueue(label: label, attributes: .concurrent)
  }

  /// Runs `work` as soon as a thread is free.
  func submit(_ work: @escaping @Sendable () -> Void) {
    let startsThread = state.withLock { state in
      state.waiting.append(work)
      guard state.running < width else { return false }
      state.running += 1
      return true
    }
    if startsThread { queue.async { self.drain() } }
  }

  /// Runs `work` on one of the threads and waits for it without blocking.
  func run<Value: Sendable>(_ work: @escaping @Sendable () throws -> Value) async throws -> Value {
    try await withCheckedThrowingContinuation { continuation in
      submit { continuation.resume(with: Result { try work() }) }
    }
  }

  private func drain() {
    while let work = take() { work() }
  }

  private func take() -> (@Sendable () -> Void)? {
    state.withLock { state in
      let work = state.next()
      if work == nil { state.running -= 1 }
      return work
    }
  }
}
