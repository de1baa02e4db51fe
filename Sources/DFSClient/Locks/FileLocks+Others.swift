internal import DFSCore
internal import DFSSystem
internal import Logging
internal import Synchronization

/// What other clients do about locks, and waiting for them.
extension FileLocks {
  /// A question to another client whether it lives.
  struct Question {
    var client: UInt64?
    var number: UInt64?
    var since: ContinuousClock.Instant?
    /// The one before.
    var hasBeenAnswered = false
  }

  // MARK: The row

  func row(of id: InodeID, _ freshness: Freshness) async throws -> LockRow {
    try LockRow(try await namespace.attributes(id, freshness)[LockRow.name])
  }

  /// Changes a row, in one change; none if it stays as it is.
  @discardableResult
  func change<Value: Sendable>(
    _ id: InodeID, _ body: @escaping @Sendable (inout LockRow) -> Value
  ) async throws -> Value {
    do {
      return try await namespace.transact(policy: .quorum) { change in
        try await change.load(.inode(id), .attributes(id))
        _ = try await change.seenInode(id)
        let before = try LockRow(try await change.attributes(id)[LockRow.name])
        var row = before
        let value = body(&row)
        if row != before { change.putAttribute(id, LockRow.name, try row.encoded()) }
        return value
      }
    } catch let error as DFSError where error.code == .serversMissing {
      throw DFSError(.noLocks, "no lock can be had or given back", cause: error)
    }
  }

  /// What is about to be published was perhaps written under locks, also under those that were given back while this
  /// client had the token: they are still its own, in the state that the change is made of.
  /// - Throws: `locksLost`.
  func check(_ id: InodeID, in change: inout Transaction) async throws {
    guard let entry = known(id), standing(entry, id) != .none, try await change.inode(id) != nil
    else { return }
    let row = try LockRow(try await change.attributes(id)[LockRow.name])
    if !row.has(client) || standing(entry, id) == .lost {
      lose(entry, id)
      throw Self.lost(id)
    }
  }

  // MARK: What is pushed

  /// Rows were changed by others.
  func changed(_ keys: [RowKey]?) {
    guard let keys else {
      for (id, entry) in all { look(entry, id) }
      return
    }
    for case .attribute(let id, LockRow.name) in keys {
      if let entry = known(id) { look(entry, id) }
    }
  }

  private func look(_ entry: Entry, _ id: InodeID) {
    wake(entry)
    let noted = entry.state.withLock { state in
      state.noted += 1
      return state.noted
    }
    look(entry, id, noted)
  }

  /// - Parameter noted: of which change, by `Entry.State.noted`.
  func look(_ entry: Entry, _ id: InodeID, _ noted: UInt64) {
    Task {
      do {
        var row = try await row(of: id, .pushed)
        let standing = entry.state.withLock { $0.standing }
        let isAsked = row.asked[client] != nil
        if isAsked { row = try await answer(entry, id) }
        looked(at: row, entry, noted)
        if isAsked || row.has(client) && standing != .token && standing != .listed {
          try await correct(entry, id)
        }
        guard standing == .token || standing == .listed else { return }
        guard row.has(client) else { return try await confirmLoss(entry, id) }
        if row.token == client, !row.waiting.isEmpty { try await giveBack(entry, id) }
      } catch {
        logger.debug("the locks on inode \(id) cannot be looked at: \(error)")
      }
    }
  }

  /// Shows that this client lives. What it does not wait for any more it lets go.
  private func answer(_ entry: Entry, _ id: InodeID) async throws -> LockRow {
    let (client, wanted) = (client, entry.state.withLock { $0.wanted })
    return try await change(id) { row in
      row.asked[client] = nil
      row.waiting.removeAll { $0.client == client && !wanted.contains($0.lock) }
      return row
    }
  }

  /// Takes out of the row what this client does not know that it has: of a change whose outcome it was not told, or of
  /// locks that it takes for lost.
  private func correct(_ entry: Entry, _ id: InodeID) async throws {
    try await entry.turn.alone {
      let (table, standing) = entry.state.withLock { ($0.table, $0.standing) }
      let row = try await self.row(of: id, .current)
      guard row.has(self.client), !(standing == .token && row.token == self.client) else { return }
      let rest = standing == .lost || standing == .alone ? [] : table.locks
      guard row.token == self.client || Set(row.locks(of: self.client)) != Set(rest) else { return }
      try await self.change(id) { $0.list(rest, of: self.client) }
      entry.state.withLock { state in
        if state.standing != .lost, state.standing != .alone {
          state.standing = rest.isEmpty ? .none : .listed
        }
      }
    }
  }

  /// The row, as it is pushed, has nothing of this client's; it may be older than what this client does now.
  private func confirmLoss(_ entry: Entry, _ id: InodeID) async throws {
    try await entry.turn.alone {
      if try await !self.surely(id).has(self.client) { self.lose(entry, id) }
    }
  }

  /// Another client waits: gives the token back, with what was written, and lists what is locked.
  private func giveBack(_ entry: Entry, _ id: InodeID) async throws {
    try await entry.turn.alone {
      guard entry.state.withLock({ $0.standing == .token }) else { return }
      await self.store(id)
      await self.list(entry.state.withLock { $0.table }, entry, id)
    }
    wake(entry)
  }

  // MARK: Waiting

  func wake(_ entry: Entry) {
    let sleepers = entry.state.withLock { state in
      state.changes += 1
      defer { state.sleepers = [:] }
      return state.sleepers.sorted { $0.key < $1.key }.map(\.value)
    }
    for sleeper in sleepers { sleeper.resume() }
  }

  /// Waits until something changed, or `LockPace.look` is over, or the task is cancelled.
  func sleep(_ entry: Entry, since seen: UInt64) async {
    let number = entry.state.withLock { state in
      state.next += 1
      return state.next
    }
    let alarm = Task {
      try await environment.sleep(for: pace.look)
      wake(number, of: entry)
    }
    defer { alarm.cancel() }
    await withTaskCancellationHandler {
      await withCheckedContinuation { continuation in
        let isOver = entry.state.withLock { state in
          if state.changes != seen || Task.isCancelled { return true }
          state.sleepers[number] = continuation
          return false
        }
        if isOver { continuation.resume() }
      }
    } onCancel: {
      wake(number, of: entry)
    }
  }

  private func wake(_ number: UInt64, of entry: Entry) {
    entry.state.withLock { $0.sleepers.removeValue(forKey: number) }?.resume()
  }

  /// The lock is not waited for any more.
  func forget(_ wanted: FileLock, _ entry: Entry, _ id: InodeID) async {
    await Self.uncancelled { [self] in
      let isNoted = (try? await row(of: id, .pushed))?.waiting.contains {
        $0.client == client && $0.lock == wanted
      }
      if isNoted ?? true { try? await change(id) { $0.forget(wanted, by: self.client) } }
    }
  }

  /// A client was in the way of a lock that is not waited for: sees to it that its locks go if it is dead, so that who
  /// tries again has the lock. Until it has answered and nobody tried since.
  func doubt(_ other: UInt64, _ entry: Entry, _ id: InodeID) {
    let isFirst = entry.state.withLock { state in
      defer { state.doubted[other] = true }
      return state.doubted[other] == nil
    }
    guard isFirst else { return }
    giveBackWhenIdle(entry, id)
    Task {
      var (question, end) = (Question(), environment.now + pace.oneDoubt)
      while !state.withLock({ $0.hasEnded }), environment.now < end {
        let seen = entry.state.withLock { $0.changes }
        await doubt(other, &question, entry, id)
        guard let row = try? await row(of: id, .pushed), row.clients.contains(other) else { break }
        let isTried = entry.state.withLock { state in
          let isTried = state.doubted[other] ?? false
          state.doubted[other] = isTried || !question.hasBeenAnswered ? false : nil
          return isTried
        }
        if isTried { end = environment.now + pace.oneDoubt }
        if question.hasBeenAnswered, !isTried { return }
        await sleep(entry, since: seen)
      }
      entry.state.withLock { $0.doubted[other] = nil }
    }
  }

  /// A client is in the way: asks whether it lives, and removes it once it did not answer for `LockPace.patience`.
  func doubt(
    _ other: UInt64, _ question: inout Question, _ entry: Entry, _ id: InodeID
  ) async {
    let now = environment.now
    if question.client != other { question = Question(client: other, since: now) }
    guard let since = question.since, let row = try? await row(of: id, .pushed),
      row.clients.contains(other)
    else { return }
    guard let number = question.number else {
      guard now - since >= pace.firstQuestion else { return }
      let new = environment.bits() | 1
      let asked = try? await change(id) { row in
        if row.clients.contains(other), row.asked[other] == nil { row.asked[other] = new }
        return row.asked[other]
      }
      if let asked { question = Question(client: other, number: asked, since: environment.now) }
      return
    }
    guard row.asked[other] == number else {
      // It has answered.
      question = Question(client: other, since: now, hasBeenAnswered: true)
      return
    }
    guard now - since >= pace.patience else { return }
    let isRemoved = try? await change(id) { row in
      guard row.asked[other] == number else { return false }
      row.remove(other)
      return true
    }
    if isRemoved ?? false {
      logger.warning("the locks of a client that did not answer on inode \(id) were removed")
      question = Question()
      wake(entry)
    }
  }
}
