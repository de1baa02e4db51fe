import Dispatch

/// Threads for what blocks: disks, hashes, terminals. Swift's own threads never wait for these.
private let blockingThreads = DispatchQueue(label: "dfc.blocking", attributes: .concurrent)

/// Runs `work` on a thread that may block.
func offload<Value: Sendable>(_ work: @escaping @Sendable () throws -> Value) async throws -> Value
{
  try await withCheckedThrowingContinuation { continuation in
    blockingThreads.async { continuation.resume(with: Result(catching: work)) }
  }
}
