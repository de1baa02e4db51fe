internal import DFSCore
internal import DFSSystem
internal import Logging
internal import Synchronization

/// Whether locks are still this client's.
extension FileLocks {
  /// Whether three servers answered lately.
  var isTrusted: Bool {
    state.withLock { state in
      state.proven.map { environment.now < $0.advanced(by: pace.trust) } ?? false
    }
  }

  /// Three servers answered what was asked at `time`.
  func proved(at time: ContinuousClock.Instant) {
    state.withLock { state in state.proven = state.proven.map { max($0, time) } ?? time }
  }

  /// While there are locks or tokens, servers are asked now and then.
  func beat() {
    let begins = state.withLock { state in
      defer { state.isBeating = true }
      return !state.isBeating
    }
    guard begins else { return }
    Task { [weak self] in
      while let self, goesOn() {
        let now = environment.now
        if await namespace.pings.heads(until: { $0.count >= Limits.quorum }) { proved(at: now) }
        try? await environment.sleep(for: pace.heartbeat)
      }
    }
  }

  private func goesOn() -> Bool {
    state.withLock { state in
      state.isBeating =
        !state.hasEnded
        && state.entries.values.contains { $0.state.withLock { $0.standing != .none } }
      return state.isBeating
    }
  }

  func isInDoubt(_ id: InodeID) -> Bool {
    guard let entry = known(id) else { return false }
    let isTrusted = isTrusted
    return entry.state.withLock { state in
      switch state.standing {
      case .lost, .alone: true
      case .none, .token, .listed: !state.table.isEmpty && (!isTrusted || state.isUnlooked)
      }
    }
  }

  func prove(_ id: InodeID) async throws {
    guard let entry = known(id) else { return }
    let standing = standing(entry, id)
    if standing == .none { return }
    if standing != .lost {
      let (now, noted) = (environment.now, entry.state.withLock { $0.noted })
      do {
        let row = try await surely(id)
        if row.has(client) {
          looked(at: row, entry, noted)
          return proved(at: now)
        }
      } catch let error as DFSError where error.code == .staleHandle {
        // It was removed: its locks are of this client only.
        return entry.state.withLock { $0.standing = .alone }
      } catch {
        throw DFSError(
          .inputOutput, "it cannot be told whether the locks on inode \(id) are still held",
          cause: error)
      }
      lose(entry, id)
    }
    if self.standing(entry, id) == .lost { throw Self.lost(id) }
  }

  /// The row, as three servers have it: fewer may be behind.
  /// - Throws: `staleHandle` if the file has none; `serversMissing`.
  func surely(_ id: InodeID) async throws -> LockRow {
    try namespace.servers.require(up: Limits.quorum)
    do {
      let row = try await row(of: id, .current)
      try namespace.servers.require(up: Limits.quorum)
      return row
    } catch let error as DFSError where error.code == .staleHandle {
      return try await change(id) { $0 }
    }
  }

  func looked(at row: LockRow, _ entry: Entry, _ noted: UInt64) {
    guard row.has(client), row.asked[client] == nil else { return }
    entry.state.withLock { $0.looked = max($0.looked, noted) }
  }

  static func lost(_ id: InodeID) -> DFSError {
    DFSError(
      .locksLost,
      "another client took the locks on inode \(id), since this one was not heard of; unlock or close the file, "
        + "and lock it again")
  }

  /// Locks are lost until their owners have given them back, and what was written under them is gone.
  func standing(_ entry: Entry, _ id: InodeID) -> Standing {
    let (standing, isLocked) = entry.state.withLock { ($0.standing, !$0.table.isEmpty) }
    guard standing == .lost || standing == .alone, !isLocked, !hasUnstored(id) else {
      return standing
    }
    return entry.state.withLock { state in
      if state.standing == .lost || state.standing == .alone, state.table.isEmpty {
        state.standing = .none
      }
      return state.standing
    }
  }

  func hasUnstored(_ id: InodeID) -> Bool { user?.hasUnstored(id) ?? false }

  /// Another client has removed what this one had.
  func lose(_ entry: Entry, _ id: InodeID) {
    let hasUnstored = hasUnstored(id)
    let isLoss = entry.state.withLock { state in
      guard state.standing != .none, state.standing != .lost else { return false }
      state.standing = state.table.isEmpty && !hasUnstored ? .none : .lost
      return state.standing == .lost
    }
    if isLoss {
      logger.error(
        "the locks on inode \(id) were taken by another client, since this one was not heard of for long"
      )
    }
    wake(entry)
  }
}
