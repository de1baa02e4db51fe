internal import Dispatch

/// Threads for what blocks: disks, hashes, terminals. Swift's own threads never wait for these.
private let blockingThreads = DispatchQueue(label: "dfs.blocking", attributes: .concurrent)

/// Runs `work` on a thread that may block.
/// - Throws: what `work` throws.
public func offload<Value: Sendable>(
  _ work: @escaping @Sendable () throws -> Value
) async throws -> Value {
  try await withCheckedThrowingContinuation { continuation in
    blockingThreads.async { continuation.resume(with: Result(catching: work)) }
  }
}
