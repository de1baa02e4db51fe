internal import DFSCore
internal import NIOPosix

/// Threads for what blocks on the local disk, so that nothing blocks Swift's own few.
enum DiskQueue {
  private static let width = 16
  private static let threads = {
    let threads = NIOThreadPool(numberOfThreads: width)
    threads.start()
    return threads
  }()

  static func run<Result: Sendable>(
    _ work: @escaping @Sendable () throws(DFSError) -> Result
  ) async throws(DFSError) -> Result {
    let result = await withCheckedContinuation { continuation in
      threads.submit { _ in
        do throws(DFSError) {
          continuation.resume(returning: Swift.Result<Result, DFSError>.success(try work()))
        } catch {
          continuation.resume(returning: .failure(error))
        }
      }
    }
    return try result.get()
  }
}
