internal import NIOPosix

/// A bounded number of threads for work that blocks (disk, SQLite, checksums of large data), so
/// that it never runs on an event loop or in Swift's cooperative pool. The threads are its own: on
/// Linux the threads of Dispatch's queues are those of the cooperative pool.
///
/// Invariants: at most `width` pieces of work run at once; the others wait in order of arrival. All
/// that was submitted is run.
final class WorkQueue: Sendable {
  private let threads: NIOThreadPool

  init(width: Int) {
    precondition(width > 0, "a work queue has at least one thread")
    threads = NIOThreadPool(numberOfThreads: width)
    threads.start()
  }

  deinit { threads.shutdownGracefully { _ in } }

  /// Runs `work` as soon as a thread is free.
  func submit(_ work: @escaping @Sendable () -> Void) {
    // The threads stay as long as there is work for them.
    threads.submit { _ in withExtendedLifetime(self, work) }
  }

  /// Runs `work` on one of the threads and waits for it without blocking.
  func run<Value: Sendable>(_ work: @escaping @Sendable () throws -> Value) async throws -> Value {
    try await withCheckedThrowingContinuation { continuation in
      submit { continuation.resume(with: Result { try work() }) }
    }
  }
}
