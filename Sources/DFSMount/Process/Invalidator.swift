internal import DFSClient
internal import DFSCore
internal import Dispatch
internal import Synchronization

/// Tells the kernel what other clients changed, on a thread of its own: the kernel may keep the
/// telling waiting until an operation on the same directory is answered.
final class Invalidator: Sendable {
  private let session: FuseSession
  private let nodes: NodeTable
  private let service: any FileService
  private let queue = DispatchQueue(label: "dfs.mount.invalidate")
  private let task = Mutex<Task<Void, Never>?>(nil)

  /// An answer that was on its way to the kernel when a change was told may have brought an inode that
  /// the kernel did not know then, as it was before. So it is told again, within the second in which
  /// changes are to be seen.
  private static let repetition = DispatchTimeInterval.milliseconds(500)

  init(_ session: FuseSession, _ nodes: NodeTable, _ service: any FileService) {
    self.session = session
    self.nodes = nodes
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
    case .rows(let keys): for key in keys { perform(key) }
    case .everything: session.renewEverything()
    }
  }

  private func performAgain(_ invalidation: Invalidation) {
    switch invalidation {
    case .rows(let keys):
      for key in keys {
        guard case .inode(let id) = key, nodes.knows(id) else { continue }
        session.invalidate(id, pages: false)
      }
    case .everything: for node in nodes.all { session.invalidate(node.id, pages: false) }
    }
  }

  private func perform(_ key: RowKey) {
    switch key {
    case .inode(let id):
      // Not its pages: taking them waits for reads under way, as names do for the directory's lock.
      // The next open drops them, and until then handles read what they opened.
      if nodes.knows(id) { session.invalidate(id, pages: false) }
    case .entry(let parent, let name):
      guard nodes.knows(parent) else { return }
      session.invalidate(NodeName(parent: parent, name: name))
      // The directory's times changed with its entries.
      session.invalidate(parent, pages: false)
    case .attribute(let id, _):
      if nodes.knows(id) { session.invalidate(id, pages: false) }
    }
  }
}
