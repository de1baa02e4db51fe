internal import DFSClient
internal import DFSCore
internal import DFSSystem
internal import Logging
internal import Synchronization

/// What could not be stored: kept in the cache directory, and named.
extension FileSystem {
  /// The last handle of a file is closed, or the mount ends: what is not stored would vanish with the
  /// spool.
  func keepUnstored(_ file: OpenFile, _ reason: DFSError) async {
    let (spool, inode, base, modified) = file.state.withLock { state in
      (state.keepAside(), state.inode, state.base, state.modified)
    }
    // An empty new file is not worth it.
    guard let spool, base != nil || spool.size > 0, let name = file.place else { return }
    var lost = inode
    lost.id = file.target
    lost.version = base
    let kept = KeptFile(
      owner: source, namespace: service.namespaceID, path: nodes.path(of: name),
      parent: name.parent, name: name.name, lost,
      size: spool.size, modified: modified, kept: .now, reason: "\(reason)")
    do {
      let keeping = keeping
      let kept = try await DiskQueue.run { () throws(DFSError) in
        try keeping.keep(kept) { path throws(DFSError) in try spool.save(to: path) }
      }
      keepLog.log(
        .error,
        """
        what was written to '\(kept.path)', \(kept.size) bytes, is kept in \(keeping.directory); \
        bring it back with: dfc CONF recover \(kept.id)
        """)
    } catch {
      keepLog.log(
        .error, "what was written to '\(kept.path)', \(kept.size) bytes, is lost: \(error)")
    }
  }

  /// Stores what was written and not closed; what cannot be stored is kept.
  /// - Parameter limit: how long it may take without progress.
  func drain(within limit: Duration) async {
    let dirty = handles.openFiles.filter(\.isDirty)
    let draining = Draining(dirty.count, limit)
    let tasks = dirty.map { file in
      Task {
        try? await file.publish(durable: false) { draining.extend() }
        draining.ended()
      }
    }
    while draining.goesOn { try? await Task.sleep(for: .milliseconds(20)) }
    for task in tasks { task.cancel() }
    for file in dirty where file.isDirty {
      logger.error("\(file.name) was open and its last changes are not stored")
      await keepUnstored(file, DFSError(.cancelled, "the file system was unmounted"))
    }
  }
}

private final class Draining: Sendable {
  private let limit: Duration
  private let state: Mutex<(count: Int, end: ContinuousClock.Instant)>

  init(_ count: Int, _ limit: Duration) {
    self.limit = limit
    state = Mutex((count, .now + limit))
  }

  var goesOn: Bool { state.withLock { $0.count > 0 && .now < $0.end } }
  func extend() { state.withLock { $0.end = .now + limit } }
  func ended() { state.withLock { $0.count -= 1 } }
}
