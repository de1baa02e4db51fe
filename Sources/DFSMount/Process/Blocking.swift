internal import DFSCore
internal import DFSSystem
internal import Dispatch
internal import Foundation
internal import Synchronization

/// Calls that may block for long, even for ever (on a frozen mount), each on a thread of its own.
enum Blocking {
  /// - Parameter limit: gives up after this time; the thread is left to itself.
  static func run<Result: Sendable>(
    within limit: Duration = .seconds(60),
    _ work: @escaping @Sendable () throws(DFSError) -> Result
  ) async throws(DFSError) -> Result {
    typealias Outcome = Swift.Result<Result, DFSError>
    let outcome = await withCheckedContinuation {
      (continuation: CheckedContinuation<Outcome, Never>) in
      let answer = Once(continuation)
      let thread = Thread {
        answer.resume(Swift.Result { () throws(DFSError) in try work() })
      }
      thread.start()
      DispatchQueue.global().asyncAfter(deadline: .now() + limit.seconds) {
        answer.resume(.failure(DFSError(.timedOut, "no answer within \(limit.seconds) s")))
      }
    }
    return try outcome.get()
  }
}

/// A continuation that takes the first of several answers.
private final class Once<Value: Sendable>: Sendable {
  private let continuation: Mutex<CheckedContinuation<Value, Never>?>

  init(_ continuation: CheckedContinuation<Value, Never>) {
    self.continuation = Mutex(continuation)
  }

  func resume(_ value: sending Value) {
    let taken = continuation.withLock { continuation in
      defer { continuation = nil }
      return continuation
    }
    taken?.resume(returning: value)
  }
}

extension Duration {
  var seconds: Double {
    Double(components.seconds) + Double(components.attoseconds) / 1e18
  }
}
