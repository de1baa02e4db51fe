internal import DFSCore
internal import DFSTestSupport

/// Opens a file and reads its content to the end, part by part, with pauses in which it may be
/// replaced and collected.
final class SimulatedContentRead {
  private struct Promise {
    let session: Int
    let here: [PartID]
  }

  private let key: RowKey
  private unowned let client: SimulatedClient
  private var promises: [ServerIndex: Promise] = [:]

  private var world: World { client.world }

  init(_ key: RowKey, client: SimulatedClient) { (self.key, self.client) = (key, client) }

  func begin() {
    client.task = self
    client.perform(.read([key])) { [self] end in
      guard case .done(.observed(_, let rows, _)) = end, let content = rows[key]?.value.content
      else { return client.taskEnded() }
      hold(content)
    }
  }

  /// All servers that are up are told, or all but one: a silent server keeps nobody waiting.
  private func hold(_ content: RowContent) {
    client.held.append(content.version)
    var answers = 0
    for server in ServerIndex.all {
      let session = client.cache.session(server)
      client.copy(.hold(content.version), on: server) { [self] reply in
        if case .held(let here)? = reply, let session {
          promises[server] = Promise(session: session, here: here)
        }
        answers += 1
        if answers == Limits.quorum { read(content, PartIndex.all[...]) }
      }
    }
  }

  private func read(_ content: RowContent, _ parts: ArraySlice<PartIndex>) {
    guard let part = parts.first else { return end(content, isWhole: true) }
    client.later(1 + world.random.below(world.random.chance(25) ? 80_000 : 5_000)) { [self] in
      let holders = client.shuffled(content.placement.holders(of: part))
      let id = PartID(version: content.version, part: part)
      let next = { [self] (isRead: Bool) in
        isRead ? read(content, parts.dropFirst()) : end(content, isWhole: false)
      }
      read(id, from: holders) { [self] isRead in
        isRead ? next(true) : readElsewhere(id, content, next)
      }
    }
  }

  private func read(
    _ id: PartID, from holders: [ServerIndex], _ done: @escaping (Bool) -> Void
  ) {
    guard let holder = holders.first else { return done(false) }
    let session = client.cache.session(holder)
    client.copy(.get(id, block: nil), on: holder) { [self] reply in
      switch reply {
      case .copy(let content)?:
        if content != id { world.fail("a read of \(id.brief) returned \(content.brief)") }
        return done(true)
      case .absent?: checkPromise(of: holder, id, session: session)
      default: break
      }
      read(id, from: Array(holders.dropFirst()), done)
    }
  }

  /// Small copies are kept for others; of large ones each block may be good somewhere.
  private func readElsewhere(
    _ id: PartID, _ content: RowContent, _ done: @escaping (Bool) -> Void
  ) {
    let holders = content.placement.holders(of: id.part)
    let end = { [self] (found: PartID?) in
      if let found, found != id { world.fail("a read of \(id.brief) returned \(found.brief)") }
      done(found != nil)
    }
    if id.version.isSmall {
      client.fetch(id, from: client.shuffled(ServerSet.all.subtracting(holders)), end)
    } else {
      client.fetchBlocks(id, from: holders, end)
    }
  }

  /// A copy that was there when the version was held stays as long as the connection.
  private func checkPromise(of server: ServerIndex, _ id: PartID, session: Int?) {
    guard let promise = promises[server], promise.session == session, promise.here.contains(id),
      !world.copies.wasQuarantined(id, on: server)
    else { return }
    world.fail("\(id.brief) is gone from \(server), which holds it for client \(client.slot)")
  }

  private func end(_ content: RowContent, isWhole: Bool) {
    if isWhole { world.counts.contentReads += 1 }
    client.held.removeAll { $0 == content.version }
    for server in ServerIndex.all {
      client.copy(.release(content.version), on: server) { _ in }
    }
    client.taskEnded()
  }
}
