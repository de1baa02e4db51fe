internal import DFSCore
internal import DFSReplication
internal import DFSTestSupport

/// One client: drives a `Coordinator` and reads, as DFSClient does, one operation at a time, and
/// heals between them. What it does one after the other is in SimulatedClient+Work.swift, and within an
/// operation in SimulatedClient+Steps.swift.
final class SimulatedClient: WorldClient {
  /// A change that was sent, as long as nobody has told what became of it.
  struct Open {
    let id: ChangeID
    let number: UInt64
    let isOfOperation: Bool
  }

  enum Event {
    case leading
    case committed(ChangeID, number: UInt64)
    case lost
  }

  let slot: Int
  unowned let world: World
  var coordinator = Coordinator(client: ClientID(1))
  private var membership = Membership<NamespaceKind>()
  var cache = SimulatedCache()
  var operation: SimulatedOperation?
  /// What the operation is a step of.
  var task: AnyObject?
  /// What travels with changes that a server may have to be sent again.
  var parts: [ChangeID: SimulatedPartsByServer] = [:]
  /// Servers that refused steps for a reason of their own, and were not heard of since.
  private var refusals: ServerSet = []
  private var transfers: [ServerIndex: SimulatedStateTransfer] = [:]
  /// When the view began to be taken that was taken last.
  private var viewBegan = 0
  /// Servers that lack more copies than they told when a view was taken.
  var lackingMore: ServerSet = []
  /// The servers that have the copies of a change.
  var stored: [ChangeID: ServerSet] = [:]
  /// The versions that are open here.
  var held: [VersionID] = []
  var open: Open?
  /// What the operation does when the coordinator tells something.
  var next: ((Event) -> Void)?
  /// Goes up whenever the operation goes on to something else; what a former attempt waits for is
  /// nothing to the next.
  var attempt = 0
  /// How often this client has begun anew; what an earlier life waits for is nothing to this one.
  private(set) var life = 0
  private var isRunning = false
  /// How often in a row a view was lost or not got; the pause before the next grows with it, so that
  /// of several clients one gets through, though bringing servers along may take long.
  var losses = 0
  private var healsAfter = 0
  /// The latest connection that was begun with each server.
  private var connects: [ServerIndex: Int] = [:]
  private var believedDown: ServerSet = []
  var last: SimulatedOperation?
  private var heads: [Head?] = Array(repeating: nil, count: Limits.serverCount)
  var operationsLeft: Int
  /// Operations that were begun after the faults and succeeded: a change and a read are missing.
  var proofs = 0
  private var sequence: UInt64 = 0
  var versions: UInt64 = 0

  init(slot: Int, world: World) {
    self.slot = slot
    self.world = world
    operationsLeft = world.settings.operations
  }

  var id: ClientID { coordinator.client }
  var isBusy: Bool {
    operation != nil || task != nil || open != nil || coordinator.hasOpenChange
  }
  var isDone: Bool { proofs == 2 && !isBusy }
  var reachable: ServerSet { .all.subtracting(believedDown).subtracting(membership.foreign) }

  // MARK: Life

  func end() {}

  func start() {
    isRunning = true
    life += 1
    sequence = 0
    (parts, stored, held, refusals, transfers) = ([:], [:], [], [], [:])
    let id = world.nextClientID()
    coordinator = Coordinator(client: id, namespace: world.namespace(proposedBy: id))
    membership = Membership()
    cache = SimulatedCache()
    believedDown = []
    heads = Array(repeating: nil, count: Limits.serverCount)
    world.trace("client \(slot) starts as \(coordinator.client.value)")
    for server in ServerIndex.all { connect(server) }
    later(1 + world.random.below(5_000)) { [self] in tick() }
    pause()
  }

  func crash() {
    world.trace("client \(slot) stops")
    isRunning = false
    life += 1
    attempt += 1
    if operation != nil, open != nil { world.counts.unknown += 1 }
    (operation, open, next, task) = (nil, nil, nil, nil)
    world.ended(coordinator.client)
    coordinator = Coordinator(client: ClientID(1))
    later(1 + world.random.below(20_000)) { [self] in start() }
  }

  /// Later, if this life goes on.
  func later(_ delay: Int, _ action: @escaping () -> Void) {
    let life = life
    world.after(delay) { [self] in if self.life == life { action() } }
  }

  func call(
    _ server: ServerIndex, _ request: SimulatedRequest,
    _ answer: @escaping (SimulatedReply?) -> Void
  ) {
    let life = life
    world.send(request, from: slot, to: server) { [self] reply in
      guard self.life == life else { return }
      let reply = believed(reply, of: server)
      if reply == nil { believedDown.insert(server) } else { believedDown.remove(server) }
      answer(reply)
    }
  }

  /// Nothing is believed of a server of another namespace.
  private func believed(_ reply: SimulatedReply?, of server: ServerIndex) -> SimulatedReply? {
    guard let head = reply?.head, world.mistake != .namespacesIgnored else { return reply }
    membership.heard(head.view.namespace, from: server)
    guard membership.foreign.contains(server) else { return reply }
    cache.closed(server)
    return nil
  }

  // MARK: The coordinator

  func perform(_ actions: [Coordinator.Action]) {
    for action in actions {
      switch action {
      case .send(let server, let request, let token): send(request, to: server, token)
      case .transfer(let server, let source, let view): transfer(server, from: source, view)
      case .viewTaken(let head, let outcome):
        world.counts.views += 1
        if let namespace = head.view.namespace { membership.agreed(namespace) }
        losses = 0
        learn(outcome)
        taken()
      case .committed(let head, _):
        guard let done = open else { return world.fail("a change was committed that was not sent") }
        open = nil
        tell(.committed(done.id, number: head.number))
      case .superseded, .stuck:
        if case .stuck(.missingParts) = action { operation?.isRejected = true }
        losses += 1
        healsAfter = world.now + viewPause
        tell(.lost)
      }
    }
  }

  /// One that is under way goes on.
  private func transfer(_ server: ServerIndex, from source: ServerIndex, _ view: View) {
    guard transfers[server] == nil else { return }
    transfers[server] = SimulatedStateTransfer(server, source: source, view, client: self) {
      [self] head in
      transfers[server] = nil
      perform(coordinator.refilled(server, head: head))
    }
    transfers[server]?.begin()
  }

  private func send(_ request: NamespaceRequest, to server: ServerIndex, _ token: UInt64) {
    var request = request
    if world.mistake == .changesWithoutIdentity,
      case .apply(let view, let number, let change) = request
    {
      let writes = change.writes.filter { $0.key != Coordinator.identityKey }
      request = .apply(view, number: number, Change(id: change.id, writes: writes))
    }
    call(server, .namespace(request, travelling(with: request, to: server))) { [self] reply in
      if case .failed = reply { refusals.insert(server) }
      if case .namespace(let reply) = reply {
        refusals.remove(server)
        if case .apply(_, _, let change) = request {
          switch reply {
          case .applied: stored[change.id]?.insert(server)
          case .missingParts: stored[change.id]?.remove(server)
          default: break
          }
        }
        perform(coordinator.receive(reply, token: token))
      } else {
        perform(coordinator.undelivered(token: token))
      }
    }
  }

  /// What is committed is not refused by a server that lost its copies.
  private func travelling(
    with request: NamespaceRequest, to server: ServerIndex
  ) -> SimulatedParts {
    guard case .apply(_, let number, let change) = request,
      var parts = parts[change.id]?[server]
    else { return SimulatedParts() }
    if number <= coordinator.head.number { parts.held = [] }
    return parts
  }

  private func tell(_ event: Event) {
    let next = next
    self.next = nil
    next?(event)
  }

  var viewPause: Int { 1 + world.random.below(8_000 << min(losses, 6)) }

  /// Those that are there and refuse changes (their disks are full).
  var refusing: ServerSet {
    coordinator.phase == .leading ? refusals.intersection(coordinator.lagging) : []
  }

  /// Servers are brought the small copies that they lack before anything is appended to what others
  /// left.
  private func taken() {
    guard coordinator.hasBroughtChanges, world.settings.hasContents else { return tell(.leading) }
    let (attempt, view, began) = (attempt, coordinator.view, viewBegan)
    let small = world.copies.neededSmall
    lackingMore = []
    var asked: ServerSet = []
    let end = { [self] in
      guard coordinator.phase == .leading, coordinator.view == view else {
        return self.attempt == attempt ? tell(.leading) : ()
      }
      world.copies.completed(
        small, by: slot, since: began, in: view,
        asked.subtracting(lackingMore))
      if self.attempt == attempt { tell(.leading) }
    }
    even(since: world.now) { [self] in
      asked = ServerSet.all.subtracting(coordinator.lacking)
      world.mistake == .retainedIgnoredByViews ? end() : completeSmallCopies(end)
    }
  }

  func takeView() {
    viewBegan = world.now
    if let namespace = membership.trusted { coordinator.learn(namespace) }
    perform(coordinator.takeView(reachable: reachable))
  }

  func append(_ intent: History.Intent, _ writes: [RowWrite]) {
    sequence += 1
    let id = ChangeID(client: coordinator.client, sequence: sequence)
    world.history.attempted(id, intent, began: world.now)
    open = Open(id: id, number: coordinator.head.number + 1, isOfOperation: true)
    parts[id] = operation?.parts
    stored[id] = operation?.isSmall ?? false ? [] : .all
    perform(coordinator.append(writes))
  }

  /// What became of an open change; whether it was of this operation or of one that was given up.
  private func learn(_ outcome: Coordinator.Outcome?) {
    guard let outcome, let open else { return }
    self.open = nil
    switch outcome {
    case .dropped: world.history.dropped(open.id)
    case .unknown: if open.isOfOperation { finish(nil, isUnknown: true) }
    case .committed:
      if open.isOfOperation { finish(.committed(open.id, number: open.number)) }
    }
  }

  // MARK: Sessions

  private func connect(_ server: ServerIndex) {
    world.lastOrder += 1
    let order = world.lastOrder
    connects[server] = order
    call(server, .connect(coordinator.client, order: order)) { [self] reply in
      guard case .connected(let session, let head) = reply else { return }
      // A doubled answer, or one of a connection that was given up.
      if cache.session(server) == session || connects[server] != order { return }
      cache.opened(session, with: server)
      for version in held { copy(.hold(version), on: server) { _ in } }
      coordinator.saw(head.view)
    }
  }

  func pushed(
    _ keys: SimulatedPush, head: Head, number: Int, from server: ServerIndex, session: Int
  ) {
    for action in cache.pushed(keys, number: number, session: session, server: server) { action() }
  }

  /// Asks for rows and the head; `isWhole` tells whether all pushes of a living session came before.
  func ask(
    _ server: ServerIndex, _ keys: [RowKey],
    _ answer: @escaping (_ rows: [RowKey: Row], _ head: Head) -> Void,
    whole: (() -> Void)? = nil
  ) {
    let asked = cache.session(server)
    call(server, .query(keys, session: asked ?? -1)) { [self] reply in
      guard case .rows(let rows, let head, let session, let pushes) = reply else { return }
      coordinator.saw(head.view)
      heads[server.value] = head
      if let pushes {
        if let whole, cache.wait(for: pushes, from: server, session: session, whole) { whole() }
      } else if cache.session(server) == session {
        cache.closed(server)
        connect(server)
      }
      answer(rows, head)
    }
  }

  /// The connection has ended: what was an address of one server is that of another.
  func moved(_ server: ServerIndex) { if isRunning { reconnect(server) } }

  /// An answer or a push has not come for long: the connection is taken for broken.
  func reconnect(_ server: ServerIndex) {
    cache.closed(server)
    connect(server)
  }

  // MARK: Between operations

  private func tick() {
    believedDown = []
    for server in ServerIndex.all where cache.session(server) == nil { connect(server) }
    if coordinator.phase != .leading || isBusy || !coordinator.lagging.isEmpty {
      perform(coordinator.retry(reachable: reachable))
    }
    catchUp()
    later(3_000 + world.random.below(4_000)) { [self] in tick() }
  }

  /// Has servers catch up that no change has catch up.
  private func catchUp() {
    guard operation == nil, world.now >= healsAfter else { return }
    if world.random.chance(30) { for server in ServerIndex.all { ask(server, [], { _, _ in }) } }
    let differ = heads.contains { $0 != heads[0] }
    if coordinator.phase == .leading {
      if coordinator.needsNewView, world.random.chance(20) { takeView() }
    } else if coordinator.phase == .idle, differ || open != nil, world.random.chance(15) {
      takeView()
    }
  }
}
