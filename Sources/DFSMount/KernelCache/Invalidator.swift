internal import DFSClient
internal import DFSSystem
internal import Dispatch
internal import Synchronization

/// Tells the kernel what other clients changed, on a thread of its own: the kernel may keep the
/// telling waiting until an operation on the same directory is answered.
final class Invalidator: Sendable {
  private let kernel: KernelCache
  private let service: any FileService
  private let queue = DispatchQueue(label: "dfs.mount.invalidate")
  private let task = Mutex<Task<Void, Never>?>(nil)

  /// An answer that was on its way to the kernel when a change was told may have brought an inode that
  /// the kernel did not know then, as it was before. So it is told again, within the second in which
  /// changes are to be seen.
  private static let repetition = DispatchTimeInterval.milliseconds(500)

  init(_ kernel: KernelCache, _ service: any FileService) {
    self.kernel = kernel
    self.service = service
  }

  func start() {
    let invalidations = service.invalidations
    task.withLock {
      $0 = Task { [queue] in
        for await invalidation in invalidations {
          queue.async { self.perform(invalidation) }
          queue.asyncAfter(deadline: .now() + Self.repetition) {
            self.performAgain(invalidation)
          }
        }
      }
    }
  }

  func stop() { task.withLock { $0?.cancel() } }

  private func perform(_ invalidation: Invalidation) {
    switch invalidation {
    case .rows(let keys): for key in keys { kernel.drop(key) }
    case .everything: kernel.renewEverything()
    }
  }

  private func performAgain(_ invalidation: Invalidation) {
    switch invalidation {
    case .rows(let keys): for key in keys { kernel.dropAgain(key) }
    case .everything: kernel.dropAllAgain()
    }
  }
}
