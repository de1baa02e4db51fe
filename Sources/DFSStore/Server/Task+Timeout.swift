internal import Synchronization

/// Waiting for a task that goes on when nobody waits for it any more.
extension Task where Success == Void, Failure == any Error {
  /// - Throws: what the task throws; what `late` says if it has not ended within `patience`.
  func value(
    within patience: Duration, else late: @escaping @Sendable () -> any Error
  ) async throws {
    try await withCheckedThrowingContinuation { continuation in
      let turn = OneTurn(continuation)
      let alarm = Task<Void, Never> {
        guard (try? await Task<Never, Never>.sleep(for: patience)) != nil else { return }
        turn.resume(.failure(late()))
      }
      Task<Void, Never> {
        turn.resume(await self.result)
        alarm.cancel()
      }
    }
  }
}

/// A continuation that the first of several resumes.
private final class OneTurn: Sendable {
  private let continuation: Mutex<CheckedContinuation<Void, any Error>?>

  init(_ continuation: CheckedContinuation<Void, any Error>) {
    self.continuation = Mutex(continuation)
  }

  func resume(_ result: Result<Void, any Error>) {
    let continuation = continuation.withLock { continuation in
      defer { continuation = nil }
      return continuation
    }
    continuation?.resume(with: result)
  }
}
