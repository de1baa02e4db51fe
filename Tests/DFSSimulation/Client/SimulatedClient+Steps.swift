internal import DFSCore
internal import DFSReplication
internal import DFSTestSupport

/// What a client does for one operation: make a view change, read in it, append; or read and judge.
extension SimulatedClient {
  /// Goes on with the operation, from the start of a try.
  func step() {
    guard let current = operation else { return }
    attempt += 1
    if world.now > current.deadline { return giveUp() }
    if current.isRejected, open == nil { return finish(nil) }
    operation?.tries += 1
    switch current.kind {
    case .increment, .create, .delete, .publish, .place, .remove:
      coordinator.phase == .leading ? fetch() : lead()
    case .read: read()
    case .cachedRead: readCache()
    }
  }

  /// Another try of the same operation after a random pause.
  private func stepLater(_ pause: Int) {
    attempt += 1
    let attempt = attempt
    later(pause) { [self] in if self.attempt == attempt { step() } }
  }

  /// The operation ends without an answer; an open change stays open, or is forgotten.
  private func giveUp() {
    guard let given = open else { return finish(nil) }
    if world.random.chance(50) {
      coordinator.forget()
      open = nil
    } else {
      coordinator.abandon()
      open = Open(id: given.id, number: given.number, isOfOperation: false)
    }
    finish(nil, isUnknown: true)
  }

  /// What the operation does at the next event; the view is given up when there is none for long.
  private func expect(_ action: @escaping (Event) -> Void) {
    attempt += 1
    let attempt = attempt
    next = { [self] event in if self.attempt == attempt { action(event) } }
    later(60_000) { [self] in
      guard self.attempt == attempt else { return }
      next = nil
      coordinator.abandon()
      step()
    }
  }

  /// Runs one try; after a while without a result the next one begins, perhaps with a new connection
  /// where a server seems silent.
  private func tryOnce(_ action: (_ stillTrying: @escaping () -> Bool) -> Void) {
    attempt += 1
    let attempt = attempt
    let stillTrying = { [self] in self.attempt == attempt }
    action(stillTrying)
    later(8_000) { [self] in
      guard stillTrying() else { return }
      if world.random.chance(30) { reconnect(world.random.pick(ServerIndex.all)) }
      undecided()
    }
  }

  // MARK: Writing

  private func lead() {
    expect { [self] event in
      if case .leading = event { step() } else { stepLater(viewPause) }
    }
    takeView()
  }

  /// Reads the rows at the committed head of the view, from one server.
  private func fetch() {
    guard let operation else { return }
    let server = world.random.pick(ServerIndex.all)
    tryOnce { stillTrying in
      ask(server, operation.keys) { [self] rows, head in
        guard stillTrying() else { return }
        let isTruth = coordinator.phase == .leading && head == coordinator.head
        if isTruth {
          write(on: rows, of: server, head)
        } else {
          // All may have lost power, and what they had accepted.
          self.operation?.mismatches += 1
          if self.operation?.mismatches ?? 0 > 10 { coordinator.abandon() }
          stepLater(world.random.below(1_000))
        }
      }
    }
  }

  private func write(on rows: [RowKey: Row], of server: ServerIndex, _ head: Head) {
    guard let operation else { return }
    let change = operation.writes(on: rows, number: head.number + 1, mistake: world.mistake)
    guard let (intent, writes) = change else {
      // A negative answer is confirmed like any read.
      return confirm(rows, of: server, head)
    }
    expect { [self] event in
      switch event {
      case .committed(let id, let number): finish(.committed(id, number: number))
      case .leading: step()
      case .lost: stepLater(viewPause)
      }
    }
    append(intent, writes)
  }

  // MARK: Reading

  private func read() {
    guard let operation else { return }
    let reading = SimulatedReading(operation.keys, stamp: cache.stamp, mistake: world.mistake)
    ask(reading, source: world.random.pick(ServerIndex.all))
  }

  private func confirm(_ rows: [RowKey: Row], of server: ServerIndex, _ head: Head) {
    guard let operation else { return }
    let reading = SimulatedReading(operation.keys, stamp: nil, mistake: world.mistake)
    reading.source = (rows, head)
    reading.heads[server] = [head]
    ask(reading, source: nil)
  }

  private func ask(_ reading: SimulatedReading, source: ServerIndex?) {
    tryOnce { stillTrying in
      for server in ServerIndex.all {
        ask(server, server == source ? reading.keys : []) { [self] rows, head in
          guard stillTrying() else { return }
          reading.heads[server, default: []].append(head)
          if server == source, reading.source == nil { reading.source = (rows, head) }
          switch reading.judge() {
          case .truth: conclude(reading)
          case .pending: break
          case .undecided: undecided()
          }
        }
      }
    }
  }

  private func conclude(_ reading: SimulatedReading) {
    guard let (rows, head) = reading.source else { return }
    if let stamp = reading.stamp {
      cache.keep(
        rows, of: reading.keys, since: stamp,
        ignoringPushes: world.mistake == .cacheIgnoresOvertakingPush)
    }
    finish(.observed(reading.keys, rows, head))
  }

  /// Asks again, or helps: makes a view change, which finishes or drops what is half done.
  private func undecided() {
    guard let operation else { return }
    if operation.tries >= 2, world.random.chance(50), coordinator.phase != .leading {
      return lead()
    }
    stepLater(world.random.below(4_000))
  }

  /// Rows from the cache, if three servers have nothing to say against them.
  private func readCache() {
    guard let operation else { return }
    guard cache.rows(operation.keys) != nil else { return read() }
    let stamp = cache.stamp
    var confirmed: ServerSet = []
    tryOnce { stillTrying in
      for server in ServerIndex.all {
        let whole = { [self] in
          guard stillTrying() else { return }
          confirmed.insert(server)
          let count = confirmed.count
          guard world.mistake == .twoPings ? count >= 2 : Quorum.isCurrent(confirmedBy: count)
          else { return }
          guard let rows = cache.rows(operation.keys), cache.isUnbroken(since: stamp) else {
            return read()
          }
          finish(.cached(operation.keys, rows))
        }
        ask(server, [], { _, _ in }, whole: whole)
      }
    }
  }
}
