internal import DFSCore
internal import DFSReplication
internal import DFSSystem

/// Performing what waits in the queue as one change.
extension Namespace {
  /// Waits for the turn, unless somebody who has it performs the change together with others, and performs
  /// what waits.
  /// - Returns: the servers that have the change's copies.
  func perform(
    _ change: QueuedChange, until deadline: ContinuousClock.Instant
  ) async throws -> ServerSet {
    queue.add(change)
    do {
      try await turn.take(until: deadline, in: environment)
    } catch {
      if queue.giveUp(change, error) { throw error }
      // It is under way, and what becomes of it is not up to its caller any more.
      return try await Task { try await change.outcome.value() }.value
    }
    defer { turn.give() }
    while !change.outcome.isDone { await performNext(until: deadline, for: change) }
    return try await change.outcome.value()
  }

  /// Performs the next changes of the queue, as one.
  /// - Parameter own: the caller's, which alone is given up if the caller's time is over.
  private func performNext(
    until deadline: ContinuousClock.Instant, for own: QueuedChange
  ) async {
    // At the end of the caller's time nobody would know what became of those of others, who have more of it.
    let isLate = deadline - environment.now < settings.callTimeout / 2
    var changes = isLate && queue.remove(own) ? [own] : queue.take()
    var pause = pace.pause
    do {
      while !changes.isEmpty {
        let head = try await lead(until: deadline, &pause)
        let (isDone, postponed) = try await attempt(changes, at: head, until: deadline, &pause)
        if isDone { return queue.putBack(postponed) }
        changes.removeAll(where: \.outcome.isDone)
        try Task.checkNotCancelled()
        try await pause.wait(until: deadline)
      }
    } catch {
      // Nothing was changed. The others may have more time, and nobody cancelled them.
      queue.putBack(changes.filter { $0 !== own && !$0.outcome.isDone })
      _ = queue.remove(own)
      own.outcome.fulfil(.failure(DFSError(error, else: .inputOutput)))
    }
  }

  /// Computes the changes at `head`, and appends them as one.
  /// - Returns: whether they have their outcomes, but for those that have to wait for the next change; if
  ///   not, those that have none have to be computed again.
  private func attempt(
    _ changes: [QueuedChange], at head: Head, until deadline: ContinuousClock.Instant,
    _ pause: inout Pause
  ) async throws -> (isDone: Bool, postponed: [QueuedChange]) {
    var joint = JointChange(
      Transaction(
        number: head.number + 1, time: environment.time,
        source: NamespaceRows(namespace: self, head: head, deadline: deadline)))
    do {
      for change in changes { try await joint.add(change) }
    } catch let error as DFSError where error.code == .superseded {
      await driver.abandon()
      return (false, [])
    }
    guard !(joint.joined.isEmpty && joint.refused.isEmpty) else { return (true, joint.postponed) }
    if joint.transaction.writes.isEmpty {
      // Nothing to write, or the rules say no: right if the rows were current.
      guard try await isCurrent(head) else {
        await driver.abandon()
        return (false, [])
      }
      joint.end(stored: joint.parts.stored)
      return (true, joint.postponed)
    }
    return (try await append(joint, until: deadline, &pause), joint.postponed)
  }

  /// - Returns: whether it is committed; if not, it never will be.
  private func append(
    _ joint: JointChange, until deadline: ContinuousClock.Instant, _ pause: inout Pause
  ) async throws -> Bool {
    do {
      let isCommitted = try await commit(
        joint.transaction.writes, joint.parts, until: deadline, &pause)
      let stored = driver.stance.stored
      for change in joint.joined { change.isStored(on: stored) }
      if isCommitted { joint.end(stored: stored) }
      return isCommitted
    } catch {
      let error = DFSError(error, else: .inputOutput)
      guard error.code == .timedOut || joint.joined.count == 1 else {
        // A server refused one of them, or their copies: by itself each gets its own answer.
        for change in joint.joined {
          var isDone = false
          while !isDone {
            let head = try await lead(until: deadline, &pause)
            isDone = try await attempt([change], at: head, until: deadline, &pause).isDone
            if !isDone { try await pause.wait(until: deadline) }
          }
        }
        return joint.refused.isEmpty
      }
      for change in joint.joined { change.outcome.fulfil(.failure(error)) }
      // What the rules forbade was computed from rows that may not be current any more.
      return joint.refused.isEmpty
    }
  }
}

extension JointChange {
  /// The rows that it was computed from were current, and what it writes is there.
  fileprivate func end(stored: ServerSet) {
    for change in joined { change.outcome.fulfil(.success(stored)) }
    for (change, error) in refused { change.outcome.fulfil(.failure(error)) }
  }
}
