internal import DFSCore
internal import DFSReplication

/// Rows that a server says have changed; nil for all.
typealias SimulatedPush = [RowKey]?

/// One server: performs what `Replica` decides, keeps sessions, pushes changes.
final class SimulatedServer {
  struct Session {
    let id: Int
    let client: ClientID
    let slot: Int
  }

  let index: ServerIndex
  var disk: SimulatedDisk
  private(set) var isUp = true
  /// How often it was started.
  private(set) var starts = 0
  /// Until then it stands still.
  var stillUntil = 0
  private var sessions: [Session] = []
  var transfers: [Int: Staged] = [:]
  var copySessions = SimulatedSessions()
  private(set) lazy var leases = SimulatedLeases(self, world: world)
  /// The connection whose request is performed.
  var caller: Int?
  unowned let world: World

  init(_ index: ServerIndex, world: World) {
    self.index = index
    self.world = world
    disk = SimulatedDisk(logLength: world.settings.logLength, server: index)
    disk.syncsCopies = world.mistake != .copiesNotSyncedBeforeChange
    disk.ignoresFailedSync = world.mistake == .failedSyncAcknowledged
  }

  var head: Head { disk.current.replica.head }
  /// What answers tell.
  var shownHead: Head { world.settings.hasLeases ? leases.shown : head }

  func stop() {
    isUp = false
    disk.processEnds()
    // The kernel brings to stable storage what the process wrote, if the power stays.
    let starts = starts
    world.after(30_000) { [self] in
      if self.starts == starts, !isUp { disk.writeBack() }
    }
    sessions = []
    leases.stop()
    transfers = [:]
    copySessions = SimulatedSessions()
  }

  /// Another process begins; nothing if one lives.
  func start() {
    guard !isUp else { return }
    starts += 1
    disk.processBegins(
      forgetsUnsynced: world.mistake == .startForgetsUnsynced,
      trustsCache: world.mistake == .startTrustsCache)
    isUp = true
    leases.start()
  }

  /// A connection was made.
  /// - Returns: the number of the session.
  func open(_ client: ClientID, slot: Int) -> Int {
    world.lastSession += 1
    sessions.append(Session(id: world.lastSession, client: client, slot: slot))
    return world.lastSession
  }

  /// A client can be told of changes on its connection from now on; of those that it was not told of and may see
  /// later it is told first.
  func joined(_ id: Int) {
    guard world.mistake != .joinedIsNotTold, let head = leases.unshown,
      let session = sessions.first(where: { $0.id == id })
    else { return }
    push(nil, head, to: session)
  }

  /// A connection has ended.
  func endSession(_ id: Int) {
    sessions.removeAll { $0.id == id }
    leases.ended(id)
    copySessions.end(id)
    transfers[id] = nil
  }

  /// Where a client is that is connected.
  func slot(of client: ClientID) -> Int? { sessions.first { $0.client == client }?.slot }

  func hasSession(_ id: Int) -> Bool { sessions.contains { $0.id == id } }

  /// The connections of a client that has ended are closed.
  func endSessions(of client: ClientID) {
    for session in sessions where session.client == client {
      leases.ended(session.id)
      copySessions.end(session.id)
    }
    sessions.removeAll { $0.client == client }
  }

  /// A copy was lost by an fsync that failed.
  func noteQuarantined() {
    guard !disk.quarantined.isEmpty else { return }
    world.trace("\(index) sets aside \(disk.quarantined.map(\.brief))")
    world.copies.quarantine(disk.quarantined, on: self)
    disk.quarantined = []
  }

  // MARK: The namespace protocol

  /// - Returns: nil if the disk is full.
  func perform(_ request: NamespaceRequest, _ parts: SimulatedParts) -> NamespaceReply? {
    if let reply = performWrongly(request) { return reply }
    let request = world.mistaken(request, after: head.number, disk.current.rows)
    let decision = disk.current.replica.decide(request) { disk.current.entry($0) }
    if case .answer(let reply) = decision {
      if case .log(let after) = request { return log(after: after) }
      if parts.durable { disk.sync() }
      return reply
    }
    if disk.isFull {
      world.counts.refused += 1
      return nil
    }
    return perform(decision, parts)
  }

  private func perform(_ decision: Replica.Decision, _ parts: SimulatedParts) -> NamespaceReply {
    switch decision {
    case .answer(let reply): return reply
    case .promise(let view):
      disk.promise(view, syncs: world.mistake != .promisesNotSynced)
      return .promised(head)
    case .append(_, let change):
      let reply = append(change, parts)
      if case .applied = reply { changed(change.writes.map(\.key), author: change.id.client) }
      return reply
    case .install(let view, let changes, let to):
      let syncs = world.mistake != .promisesNotSynced
      guard let head = disk.install(view, changes, to: to, syncs: syncs) else {
        return .behind(head)
      }
      copySessions.asked(changes.flatMap(asked))
      changed(changes.flatMap { $0.writes.map(\.key) }, author: nil)
      return .installed(head)
    }
  }

  /// The mistakes that a server can make.
  private func performWrongly(_ request: NamespaceRequest) -> NamespaceReply? {
    switch (world.mistake, request) {
    case (.installTwice, .install(let view, _, _, _))
    where head.view == view && disk.current.replica.promised == view:
      disk.installAgain()
      return .installed(head)
    case (.promisesNotKept, .apply(let view, let number, let change))
    where head.view == view && number == head.number + 1:
      disk.append(change, syncs: false)
      changed(change.writes.map(\.key), author: change.id.client)
      return .applied(head)
    default: return nil
    }
  }

  private func log(after number: UInt64) -> NamespaceReply {
    let state = disk.current
    guard number <= head.number, let base = state.digest(after: number) else {
      return .log(base: nil, entries: [], head: head)
    }
    let entries = state.log.filter { $0.number > number }.prefix(world.settings.logPage)
    return .log(base: base, entries: Array(entries), head: head)
  }

  // MARK: Pushes

  /// Tells every session, before anybody can ask for the head; without leases also the author's (whose change may be
  /// taken up when it has given it up).
  func changed(_ keys: SimulatedPush, author: ClientID?) {
    world.observe(head, of: self)
    leases.announce(by: author == nil ? nil : caller) {
      for session in sessions {
        if let keys, keys.isEmpty, !world.settings.hasLeases { continue }
        if world.settings.hasLeases, author != nil, session.id == caller { continue }
        if world.mistake == .authorIsNotTold, session.client == author { continue }
        push(keys, head, to: session)
      }
    }
  }

  private func push(_ keys: SimulatedPush, _ head: Head, to session: Session) {
    leases.pushed(on: session.id)
    world.clients[session.slot].pushed(keys, head: head, from: index, session: session.id)
  }
}
