internal import DFSClient
internal import DFSCore
internal import DFSSystem
internal import Logging
internal import Synchronization

/// What could not be stored: kept in the cache directory, and named.
extension FileSystem {
  /// What was written is not on stable storage until the rest of its file was fetched, which is not waited
  /// for any longer.
  private static let fetchingTime = Duration.seconds(10)

  /// The last handle of a file is closed, or the mount ends: what is not stored would vanish with the
  /// spool.
  /// - Parameter isFetched: what was not written is fetched from the version before, so that the whole
  ///   content is kept.
  /// - Returns: whether it could be fetched, as far as that was tried.
  @discardableResult
  func keepUnstored(
    _ file: OpenFile, _ reason: DFSError, isFetched: Bool = true
  ) async -> Bool {
    let (spool, inode, base, modified) = file.state.withLock { state in
      (state.keepAside(), state.inode, state.base, state.modified)
    }
    // An empty new file is not worth it.
    guard let spool, base != nil || spool.size > 0, let name = file.place else { return true }
    var lost = inode
    lost.id = file.target
    let problem = isFetched ? await fetchMissing(of: spool, file) : nil
    // A copy of another file lies over a version that this one never had: it is not completed from its own.
    lost.version = spool.missing?.version ?? base
    let kept = KeptFile(
      owner: source, namespace: service.namespaceID, path: nodes.path(of: name),
      parent: name.parent, name: name.name, lost,
      size: spool.size, missing: spool.missing?.ranges ?? [], modified: modified, kept: .now,
      reason: "\(reason)")
    await keep(kept, spool, problem)
    return problem == nil
  }

  /// Fetches what is missing in a spool, if it can be kept as a whole.
  /// - Returns: why it cannot be fetched.
  private func fetchMissing(of spool: Spool, _ file: OpenFile) async -> DFSError? {
    guard let missing = spool.missing else { return nil }
    let (keeping, free) = (keeping, context.spools.bytesFree)
    do {
      let room = try await DiskQueue.run { () throws(DFSError) in try keeping.room() }
      guard spool.size <= room, missing.ranges.byteCount <= free else { return nil }
      try await file.bring(missing, into: spool, until: .now + Self.fetchingTime)
      return nil
    } catch { return DFSError(anyError: error) }
  }

  private func keep(_ file: KeptFile, _ spool: Spool, _ problem: DFSError?) async {
    let written =
      file.missing == nil
      ? "\(file.size) bytes" : "\(file.size - file.missingBytes) of \(file.size) bytes"
    do {
      let keeping = keeping
      let kept = try await DiskQueue.run { () throws(DFSError) in
        try keeping.keep(file) { path throws(DFSError) in try spool.save(to: path) }
      }
      keepLog.log(
        .error,
        """
        what was written to '\(kept.path)', \(written), is kept in \(keeping.directory); \
        bring it back with: dfc CONF recover \(kept.id)
        """)
      guard file.missing != nil else { return }
      keepLog.log(
        .error,
        """
        the other \(file.missingBytes) bytes of '\(kept.path)' are only in the version before: recover it \
        before the file is replaced\(problem.map { "; they could not be fetched: \($0)" } ?? "")
        """)
    } catch {
      keepLog.log(
        .error, "what was written to '\(file.path)', \(written), is lost: \(error)")
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
    // What could not be fetched for one is not waited for again with the next.
    var canFetch = true
    for file in dirty where file.isDirty {
      logger.error("\(file.name) was open and its last changes are not stored")
      let reason = DFSError(.cancelled, "the file system was unmounted")
      canFetch = await keepUnstored(file, reason, isFetched: canFetch) && canFetch
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
