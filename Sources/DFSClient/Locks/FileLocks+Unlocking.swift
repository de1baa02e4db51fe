internal import DFSCore
internal import DFSSystem
internal import Logging
internal import Synchronization

/// Giving locks back.
extension FileLocks {
  func unlock(_ id: InodeID, _ bytes: ClosedRange<UInt64>, of owner: FileLock.Owner) async {
    guard let entry = known(id), holds(id, owner) else { return }
    if entry.state.withLock({ $0.standing == .token }), !isOpenAsSeveral(id), entry.turn.tryEnter()
    {
      let isDone = entry.state.withLock { state in
        guard state.standing == .token else { return false }
        state.table.clear(bytes, of: owner)
        return true
      }
      entry.turn.leave()
      if isDone { return wake(entry) }
    }
    await Self.uncancelled { [self] in
      try? await entry.turn.alone {
        let isSeveral = self.isOpenAsSeveral(id)
        if entry.state.withLock({ $0.standing == .listed }) || isSeveral { await self.store(id) }
        // Though the one that it was written through may be closed by then.
        if isSeveral { entry.state.withLock { $0.isBehind = true } }
        let (rest, standing) = entry.state.withLock { state in
          state.table.clear(bytes, of: owner)
          return (state.table, state.standing)
        }
        if standing == .listed { await self.list(rest, entry, id) }
      }
      wake(entry)
    }
  }

  /// Stores what was written to a file, until that is done or given up. In turn.
  func store(_ id: InodeID) async {
    while !state.withLock({ $0.hasEnded }) {
      do {
        return try await user?.store(id) ?? ()
      } catch {
        logger.warning(
          "what was written under locks on inode \(id) cannot be stored yet",
          metadata: ["cause": "\(error)"])
        try? await environment.sleep(for: pace.look)
      }
    }
  }

  static func uncancelled(_ body: @escaping @Sendable () async -> Void) async {
    await Task(operation: body).value
  }

  /// Lists the locks that are left, until that is done. In turn.
  func list(_ rest: LockTable, _ entry: Entry, _ id: InodeID) async {
    while !state.withLock({ $0.hasEnded }) {
      do {
        let isThere = try await change(id) { row in
          let isThere = row.has(self.client)
          if isThere { row.list(rest.locks, of: self.client) }
          row.asked[self.client] = nil
          return isThere
        }
        guard isThere || rest.isEmpty else { return lose(entry, id) }
        // Perhaps it was seen meanwhile that others have taken them.
        return entry.state.withLock { state in
          if state.standing != .lost { state.standing = rest.isEmpty ? .none : .listed }
        }
      } catch let error as DFSError where error.code == .staleHandle {
        return entry.state.withLock { $0.standing = rest.isEmpty ? .none : .alone }
      } catch {
        logger.warning(
          "locks on inode \(id) cannot be given back yet", metadata: ["cause": "\(error)"])
        try? await environment.sleep(for: pace.look)
      }
    }
  }

  func isShared(_ id: InodeID) -> Bool {
    guard let (standing, isBehind) = known(id)?.state.withLock({ ($0.standing, $0.isBehind) })
    else { return false }
    return standing == .listed || standing == .token && (isBehind || isOpenAsSeveral(id))
  }

  /// Gives back the token of a file once nobody has locked it for long, and forgets the file.
  func giveBackWhenIdle(_ entry: Entry, _ id: InodeID) {
    let isFirst = entry.state.withLock { state in
      defer { state.isWatched = true }
      return !state.isWatched
    }
    guard isFirst else { return }
    Task { [weak self] in
      while let environment = self?.environment {
        guard let idle = self?.pace.idle else { return }
        try? await environment.sleep(for: idle)
        guard let self, known(id) === entry, !state.withLock({ $0.hasEnded }) else { return }
        await giveBack(entry, id, ifIdleSince: environment.now - idle)
      }
    }
  }

  private func giveBack(
    _ entry: Entry, _ id: InodeID, ifIdleSince time: ContinuousClock.Instant
  ) async {
    try? await entry.turn.alone {
      let (isIdle, standing) = entry.state.withLock { state in
        (state.table.isEmpty && state.sleepers.isEmpty && state.used <= time, state.standing)
      }
      guard isIdle, self.known(id) === entry else { return }
      if standing == .token {
        // Perhaps it was written under a lock, and is still open.
        await self.store(id)
        await self.list(LockTable(), entry, id)
      }
      if self.standing(entry, id) == .none {
        self.state.withLock { $0.entries[id] = nil }
      }
    }
  }

  /// All is given back: the client ends.
  func end() async {
    for (id, entry) in all {
      guard entry.state.withLock({ $0.standing == .token || $0.standing == .listed }) else {
        continue
      }
      _ = try? await change(id) { $0.remove(self.client) }
    }
    state.withLock { $0.hasEnded = true }
  }

  /// By inode.
  var all: [(key: InodeID, value: Entry)] {
    state.withLock { $0.entries }.sorted { $0.key.value < $1.key.value }
  }
}
