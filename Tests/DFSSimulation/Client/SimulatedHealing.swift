internal import DFSCore
internal import DFSReplication

/// One pass of a healer, as DFSClient's: copies that substitute for others are rebalanced, then each server is
/// brought the copies that it lacks.
final class SimulatedHealing {
  private unowned let client: SimulatedClient
  private var reachable: ServerSet = []

  private var world: World { client.world }

  init(client: SimulatedClient) { self.client = client }

  func begin() {
    client.task = self
    client.whoAnswers { [self] answering in
      reachable = answering
      client.perform(.read(SimulatedOperation.files)) { [self] end in
        guard case .done(.observed(_, let rows, _)) = end else { return client.taskEnded() }
        sendHome(SimulatedOperation.files[...], rows)
      }
    }
  }

  // MARK: Copies that substitute for others

  private func sendHome(_ keys: ArraySlice<RowKey>, _ rows: [RowKey: Row]) {
    guard let key = keys.first else { return fill(reachable.servers[...]) }
    let next = { [self] in sendHome(keys.dropFirst(), rows) }
    guard let content = rows[key]?.value.content else { return next() }
    sendHome(key, content, held: content.placement, next)
  }

  private func sendHome(
    _ key: RowKey, _ content: RowContent, held: Placement, _ next: @escaping () -> Void
  ) {
    var held = held
    if world.mistake == .substituteRemovedTooEarly { held = content.home }
    var steps = Healing.steps(home: content, held: held, reachable: reachable)[...]
    func perform() {
      switch steps.popFirst() {
      case nil where held == content.placement: next()
      case nil: sendHome(key, content, held: held, next)
      case .wait?: next()
      case .record(let home)?: settle(key, content, home, next)
      case .bring(let part, let server)?:
        bring(PartID(version: content.version, part: part), of: content, to: server) { isThere in
          guard isThere else { return next() }
          held = held.adding(server, to: part)
          perform()
        }
      }
    }
    perform()
  }

  private func settle(
    _ key: RowKey, _ content: RowContent, _ home: Placement, _ next: @escaping () -> Void
  ) {
    var parts: SimulatedPartsByServer = [:]
    for server in ServerIndex.all { parts[server] = SimulatedParts(durable: true) }
    if world.mistake != .substituteRemovedTooEarly {
      for (part, server) in home.copies(missingIn: content.placement) {
        parts[server]?.held.append(PartID(version: content.version, part: part))
      }
    }
    client.perform(.place(key, content, home), parts) { [self] end in
      if case .done(.committed) = end { world.counts.settled += 1 }
      next()
    }
  }

  // MARK: What a server lacks

  private func fill(_ servers: ArraySlice<ServerIndex>) {
    guard let server = servers.first else { return client.taskEnded() }
    client.copy(.missing(claims: true), on: server) { [self] reply in
      guard case .missing(let copies)? = reply, !copies.isEmpty else {
        return fill(servers.dropFirst())
      }
      fill(server, copies[...]) { [self] in fill(servers) }
    }
  }

  private func fill(
    _ server: ServerIndex, _ copies: ArraySlice<MissingCopy>, _ next: @escaping () -> Void
  ) {
    guard let copy = copies.first else { return next() }
    bring(copy.id, of: copy.content, to: server) { [self] _ in
      fill(server, copies.dropFirst(), next)
    }
  }

  private func bring(
    _ id: PartID, of content: RowContent, to server: ServerIndex, _ done: @escaping (Bool) -> Void
  ) {
    client.bring(id, of: content, to: server) { [self] isThere in
      if isThere { world.counts.healed += 1 }
      done(isThere)
    }
  }
}
