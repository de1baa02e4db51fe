internal import DFSCore
internal import DFSReplication

/// What a client asks of servers about copies, and how long it waits for an answer.
extension SimulatedClient {
  /// A server that has not answered for so long is taken for lost.
  /// A step of a publish or a pass of a healer; shorter than replaced copies are kept.
  static let stepPatience = 50_000
  static let copyTimeout = 12_000
  static let pingTimeout = 4_000
  static let catchUpPatience = 10_000

  /// Asks; `answer` is called once, with nil if the server is lost.
  func copy(
    _ request: SimulatedCopyRequest, on server: ServerIndex,
    _ answer: @escaping (SimulatedCopyReply?) -> Void
  ) {
    var isOver = false
    let end = { (reply: SimulatedCopyReply?) in
      if isOver { return }
      isOver = true
      answer(reply)
    }
    world.lastOrder += 1
    let session = cache.session(server) ?? -1
    call(server, .copy(request, session: session, order: world.lastOrder)) { [self] reply in
      guard case .copy(let reply) = reply else { return end(nil) }
      if case .noSession = reply {
        world.copies.trouble(World.Link(slot: slot, server: server.value))
        if cache.session(server) == session { reconnect(server) }
        return end(nil)
      }
      end(reply)
    }
    // What is not answered is taken for lost with its connection.
    later(Self.copyTimeout) { [self] in
      if isOver { return }
      if cache.session(server) == session { reconnect(server) }
      end(nil)
    }
  }

  /// The servers that answer now.
  func whoAnswers(_ done: @escaping (ServerSet) -> Void) {
    var answering: ServerSet = []
    var isOver = false
    let end = {
      if isOver { return }
      isOver = true
      done(answering)
    }
    for server in ServerIndex.all {
      ask(
        server, [],
        { _, _ in
          answering.insert(server)
          if answering == .all { end() }
        })
    }
    later(Self.pingTimeout) { end() }
  }

  /// Waits, not for long, until every server that can be reached is at the committed head.
  func even(since began: Int, _ done: @escaping () -> Void) {
    let isCaughtUp = coordinator.lagging.intersection(reachable).isEmpty
    if isCaughtUp || world.now > began + Self.catchUpPatience { return done() }
    perform(coordinator.retry(reachable: reachable))
    later(1_000) { [self] in even(since: began, done) }
  }

  /// Stores what each server lacks, whatever becomes of the others.
  func store(
    _ copies: [(part: PartIndex, server: ServerIndex)], of version: VersionID, durable: Bool,
    _ done: @escaping (_ stored: ServerSet) -> Void
  ) {
    let servers = ServerSet(copies.map(\.server))
    var stored: ServerSet = []
    var left = servers.count
    if left == 0 { return done([]) }
    for server in servers.servers {
      let own = copies.filter { $0.server == server }
      store(own, of: version, durable: durable, StoreLosses(absent: .all)) { _, isStored in
        if isStored { stored.insert(server) }
        left -= 1
        if left == 0 { done(stored) }
      }
    }
  }

  /// Stores copies, all at once; tells of each server that is lost and whether all others stored
  /// theirs.
  func store(
    _ copies: [(part: PartIndex, server: ServerIndex)], of version: VersionID, durable: Bool,
    _ losses: StoreLosses, _ done: @escaping (StoreLosses, _ isStored: Bool) -> Void
  ) {
    var losses = losses
    var left = copies.count
    var isStored = true
    if left == 0 { return done(losses, true) }
    for copy in copies {
      let id = PartID(version: version, part: copy.part)
      self.copy(.put(id, content: id, durable: durable), on: copy.server) { reply in
        switch reply {
        case .done?: break
        case nil: if !losses.note(copy.server) { isStored = false }
        default: isStored = false
        }
        left -= 1
        if left == 0 { done(losses, isStored) }
      }
    }
  }

  /// Fetches a good copy, or a block of it, from the first of `holders` that has one.
  func fetch(
    _ id: PartID, block: Int? = nil, from holders: [ServerIndex],
    _ done: @escaping (_ content: PartID?) -> Void
  ) {
    guard let holder = holders.first else { return done(nil) }
    copy(.get(id, block: block), on: holder) { [self] reply in
      if case .copy(let content)? = reply { return done(content) }
      fetch(id, block: block, from: Array(holders.dropFirst()), done)
    }
  }

  /// Fetches a part whose copies have bad blocks at different places.
  func fetchBlocks(
    _ id: PartID, _ blocks: Range<Int> = SimulatedFile.blocks, from holders: ServerSet,
    _ done: @escaping (_ content: PartID?) -> Void
  ) {
    fetch(id, block: blocks.lowerBound, from: shuffled(holders)) { [self] content in
      guard let content, blocks.count > 1 else { return done(content) }
      fetchBlocks(id, blocks.dropFirst(), from: holders) { rest in
        // Never of two contents: for the checks the one that is not `id`.
        done(rest.map { $0 == id ? content : $0 })
      }
    }
  }

  /// Brings a copy to a server that lacks it, as DFSClient's CopyMover does.
  func bring(
    _ id: PartID, of content: RowContent, to server: ServerIndex, _ done: @escaping (Bool) -> Void
  ) {
    let holders = content.placement.holders(of: id.part)
    let others = holders.subtracting(ServerSet([server]))
    // What was let go of is kept for a while: others may still have it; and small copies are kept
    // for others.
    let rest = ServerSet.all.subtracting(others).subtracting(ServerSet([server]))
    let store = { [self] (found: PartID) in
      copy(.put(id, content: found, durable: true), on: server) { reply in
        if case .done? = reply { done(true) } else { done(false) }
      }
    }
    fetch(id, from: shuffled(others) + shuffled(rest)) { [self] found in
      if let found { return store(found) }
      if id.version.isSmall { return done(false) }
      fetchBlocks(id, from: holders) { found in
        if let found { store(found) } else { done(false) }
      }
    }
  }

  /// Brings to all servers that can be reached the small copies that they lack.
  func completeSmallCopies(_ done: @escaping () -> Void) {
    let servers = reachable.servers
    var left = servers.count
    if left == 0 { return done() }
    for server in servers {
      completeSmallCopies(of: server) {
        left -= 1
        if left == 0 { done() }
      }
    }
  }

  private func completeSmallCopies(of server: ServerIndex, _ done: @escaping () -> Void) {
    copy(.missing(claims: false), on: server) { [self] reply in
      guard case .missing(let copies)? = reply else { return done() }
      // A server that was refilled may lack more than is told at once; that is for the healers.
      if copies.count == SimulatedServer.wantedPage { lackingMore.insert(server) }
      complete(server, copies.filter { $0.id.version.isSmall }[...], done)
    }
  }

  private func complete(
    _ server: ServerIndex, _ copies: ArraySlice<MissingCopy>, _ done: @escaping () -> Void
  ) {
    guard let copy = copies.first else { return done() }
    bring(copy.id, of: copy.content, to: server) { [self] isThere in
      if isThere { world.counts.completed += 1 }
      complete(server, copies.dropFirst(), done)
    }
  }

  func shuffled(_ set: ServerSet) -> [ServerIndex] { set.servers.shuffled(using: &world.random) }
}
