internal import DFSCore
internal import DFSReplication

/// What a client may ask of a simulated server; the shapes of DFSWire's requests that matter here.
enum SimulatedRequest {
  /// A connection is made once: doubled and late messages of older ones make none.
  case connect(ClientID, order: Int)
  case ping(session: Int)
  case query([RowKey], session: Int)
  case namespace(NamespaceRequest, SimulatedParts)
  case copy(SimulatedCopyRequest, session: Int, order: Int)
  /// A page of all rows in the order of their keys.
  case everything(after: RowKey?)
  case refillBegin(transfer: Int, View, own: OwnRows?)
  case refillRows(transfer: Int, page: Int, [Row])
  case refillChanges(transfer: Int, page: Int, [LogEntry])
  case refillEnd(transfer: Int, pages: Int, View, to: Head, archive: [Change])
}

enum SimulatedReply {
  case connected(session: Int, Head)
  /// `pushes` were sent on this session before this answer; nil if the session is unknown.
  case rows([RowKey: Row], Head, session: Int, pushes: Int?)
  case namespace(NamespaceReply)
  case copy(SimulatedCopyReply)
  case page([Row], isLast: Bool, Head)
  case done
  case failed

  /// The head that the server has as it answers, where the answer tells it.
  var head: Head? {
    switch self {
    case .connected(_, let head), .rows(_, let head, _, _), .page(_, _, let head): head
    case .namespace(let reply):
      switch reply {
      case .promised(let head), .installed(let head), .applied(let head), .behind(let head),
        .log(_, _, let head), .head(let head), .foreign(let head):
        head
      case .refused, .missingParts: nil
      }
    case .copy, .done, .failed: nil
    }
  }
}

/// Rows that a server says have changed; nil for all.
typealias SimulatedPush = [RowKey]?

/// One server: performs what `Replica` decides, keeps sessions, pushes changes.
final class SimulatedServer {
  struct Session {
    let id: Int
    let client: ClientID
    let slot: Int
    let order: Int
    var pushes = 0
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
  unowned let world: World

  init(_ index: ServerIndex, world: World) {
    self.index = index
    self.world = world
    disk = SimulatedDisk(logLength: world.settings.logLength, server: index)
    disk.syncsCopies = world.mistake != .copiesNotSyncedBeforeChange
    disk.ignoresFailedSync = world.mistake == .failedSyncAcknowledged
  }

  var head: Head { disk.current.replica.head }

  func stop() {
    isUp = false
    disk.processEnds()
    // The kernel brings to stable storage what the process wrote, if the power stays.
    let starts = starts
    world.after(30_000) { [self] in
      if self.starts == starts, !isUp { disk.writeBack() }
    }
    sessions = []
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
  }

  /// A connection was made.
  /// - Returns: the number of the session.
  func open(_ client: ClientID, slot: Int) -> Int {
    world.lastSession += 1
    sessions.append(Session(id: world.lastSession, client: client, slot: slot, order: 0))
    return world.lastSession
  }

  /// A connection has ended.
  func endSession(_ id: Int) {
    sessions.removeAll { $0.id == id }
    copySessions.end(id)
    transfers[id] = nil
  }

  func hasSession(_ id: Int) -> Bool { sessions.contains { $0.id == id } }

  /// The connections of a client that has ended are closed.
  func endSessions(of client: ClientID) {
    for session in sessions where session.client == client { copySessions.end(session.id) }
    sessions.removeAll { $0.client == client }
  }

  func handle(_ request: SimulatedRequest, from slot: Int) -> SimulatedReply {
    disk.setting.now = world.now
    defer { noteQuarantined() }
    return answer(request, from: slot)
  }

  /// A copy was lost by an fsync that failed.
  func noteQuarantined() {
    guard !disk.quarantined.isEmpty else { return }
    world.trace("\(index) sets aside \(disk.quarantined.map(\.brief))")
    world.copies.quarantine(disk.quarantined, on: self)
    disk.quarantined = []
  }

  private func answer(_ request: SimulatedRequest, from slot: Int) -> SimulatedReply {
    switch request {
    case .connect(let client, let order): return connect(client, slot, order)
    case .ping(let session): return answer([], session)
    case .query(let keys, let session): return answer(keys, session)
    case .namespace(let request, let parts): return perform(request, parts)
    case .copy(let request, let session, let order):
      return .copy(perform(request, session: session, order: order))
    case .everything, .refillBegin, .refillRows, .refillChanges, .refillEnd:
      return transfer(request)
    }
  }

  private func connect(_ client: ClientID, _ slot: Int, _ order: Int) -> SimulatedReply {
    if let session = sessions.first(where: { $0.client == client }) {
      if session.order == order { return .connected(session: session.id, head) }
      if session.order > order { return .failed }
    }
    world.lastSession += 1
    endSessions(of: client)
    sessions.append(
      Session(id: world.lastSession, client: client, slot: slot, order: order))
    return .connected(session: world.lastSession, head)
  }

  private func answer(_ keys: [RowKey], _ session: Int) -> SimulatedReply {
    var rows: [RowKey: Row] = [:]
    for key in keys { rows[key] = disk.current.rows[key] }
    let pushes = sessions.first { $0.id == session }?.pushes
    return .rows(rows, head, session: session, pushes: pushes)
  }

  // MARK: The namespace protocol

  func perform(
    _ request: NamespaceRequest, _ parts: SimulatedParts
  ) -> SimulatedReply {
    if let reply = performWrongly(request) { return .namespace(reply) }
    let decision = disk.current.replica.decide(request) { disk.current.entry($0) }
    if case .answer(let reply) = decision {
      if case .log(let after) = request { return .namespace(log(after: after)) }
      if parts.durable { disk.sync() }
      return .namespace(reply)
    }
    if disk.isFull {
      world.counts.refused += 1
      return .failed
    }
    return .namespace(perform(decision, parts))
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

  /// Tells every session, also the author's (whose change may be taken up when it has given it up);
  /// before anybody can ask for the head.
  func changed(_ keys: SimulatedPush, author: ClientID?) {
    world.observe(head, of: self)
    for index in sessions.indices {
      if let keys, keys.isEmpty { continue }
      if world.mistake == .authorIsNotTold, sessions[index].client == author { continue }
      let number = sessions[index].pushes
      sessions[index].pushes += 1
      world.push(keys, number: number, from: self, on: sessions[index])
    }
  }
}
