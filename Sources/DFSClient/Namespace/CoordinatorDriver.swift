internal import DFSCore
internal import DFSReplication
internal import DFSSystem
internal import DFSWire
internal import Logging
internal import NIOCore
internal import Synchronization

/// Performs what the Coordinator decides: sends its messages, hands it the answers, and wakes who
/// waits for the end of a view's taking or of a change. It runs on the event loop of the control
/// connections: from an answer to the next message no thread has to be woken.
///
/// Invariants:
/// - `takeView` and `append` are called one after the other, never at once (the turn of `Namespace`).
/// - To one server messages of one step go out in their order.
/// - A server that owes an answer on a living connection is not asked again.
actor CoordinatorDriver {
  static let retryPause = Duration.milliseconds(300)
  static let requestTimeout = Duration.seconds(15)
  /// How long a change waits for servers beyond the three that decide.
  static let catchUpPatience = Duration.seconds(2)
  /// Changes whose parts are kept for servers that missed them.
  static let keptParts = 16

  let servers: ServerPool
  let logger: Logger
  private let environment: any Environment
  private let loop: any EventLoop
  private let executor: any SerialExecutor
  private let published = Mutex(LeadershipStatus())
  var coordinator: Coordinator { didSet { publish() } }
  private var waiter:
    (continuation: CheckedContinuation<End, Never>, deadline: ContinuousClock.Instant)?
  private var isWatching = false
  private var end: End?
  var inFlight = [Int](repeating: 0, count: Limits.serverCount)
  private var parts: [(change: ChangeID?, parts: ChangeParts)] = []
  private var sent = SentParts() { didSet { publish() } }
  /// The change under way, as the cache knows of it: until it is committed, or a view that was taken tells what
  /// became of it, or nobody waits for its outcome any more.
  private var pending: PendingChange?
  private var isCatchingUp = false
  /// What a server said that refused the change under way for a reason of its own (no space, …).
  private(set) var refusal: DFSError?
  /// What servers said last that refused steps for a reason of their own, and were not heard of since.
  var refusals: [ServerIndex: DFSError] = [:] { didSet { publish() } }
  /// The servers of which a transfer is under way.
  var transfers: ServerSet = []
  /// Who waits until no reachable server lags.
  private var catchUpWaiters: [CatchUpWaiter] = []
  /// Lagging servers that were waited for in vain.
  private var overdue: ServerSet = []
  /// Why the last truth was refused.
  var loss: DFSError?
  /// A person has said that what one server alone says may be the truth.
  var acceptsLoss = false

  /// - Parameter namespace: the identity that the namespace gets if it has none.
  init(
    client: ClientID, proposing namespace: NamespaceID, servers: ServerPool, logger: Logger
  ) {
    coordinator = Coordinator(client: client, namespace: namespace)
    self.servers = servers
    environment = servers.environment
    self.logger = logger
    loop = servers.loop
    executor = loop.executor
  }

  nonisolated var unownedExecutor: UnownedSerialExecutor { executor.asUnownedSerialExecutor() }

  nonisolated var stance: LeadershipStatus { published.withLock { $0 } }

  private func publish() {
    let isLeading = coordinator.phase == .leading
    let stance = LeadershipStatus(
      leading: isLeading ? coordinator.head : nil,
      isSound: isLeading && !coordinator.needsNewView,
      hasBroughtChanges: coordinator.hasBroughtChanges, lagging: coordinator.lagging,
      hasRefusals: !refusals.isEmpty, stored: sent.stored)
    published.withLock { $0 = stance }
  }

  // MARK: What callers wait for

  /// Takes a view.
  func takeView(until deadline: ContinuousClock.Instant) async -> End {
    end = nil
    if let namespace = servers.requests.namespace { coordinator.learn(namespace) }
    coordinator.saw(servers.cache.latestView)
    perform(coordinator.takeView(reachable: servers.reachable))
    return await waitForEnd(until: deadline)
  }

  /// Appends a change; only while leading. The fourth server may be about to die with the copies that
  /// came with it, and then another one substitutes for it: so it is waited for where there are some.
  func append(
    _ writes: [RowWrite], _ changeParts: ChangeParts, until deadline: ContinuousClock.Instant
  ) async -> End {
    sent = SentParts(stored: changeParts.stored)
    guard coordinator.phase == .leading else { return .superseded }
    let head = coordinator.head
    end = nil
    refusal = nil
    pending = servers.cache.begin(
      writes, as: Head(view: head.view, number: head.number + 1, digest: .empty))
    let actions = coordinator.append(writes)
    remember(changeParts, of: actions)
    perform(actions)
    let end = await waitForEnd(until: deadline)
    if case .committed = end {
      CrashPoint.reached(.changeAgreed)
      if changeParts.hasCopies {
        await waitUntilCaughtUp(within: Self.catchUpPatience, refusingToo: true)
      }
    }
    return end
  }

  /// Gives the view up; a change under way stays open.
  func abandon() { coordinator.abandon() }

  /// Forgets a change whose outcome is reported as not known.
  func forget() {
    coordinator.abandon()
    coordinator.forget()
    if let change = pending.take() { change.abandon() }
  }

  /// A server is there (again): it is caught up if this client leads.
  func returned(_ server: ServerIndex) {
    guard coordinator.phase != .idle, inFlight[server.value] == 0 else { return }
    perform(coordinator.reconnected(server))
    catchUp()
  }

  private func waitForEnd(until deadline: ContinuousClock.Instant) async -> End {
    if let end { return end }
    watch()
    return await withCheckedContinuation { waiter = ($0, deadline) }
  }

  /// Looks after those who wait, for as long as there are any.
  private func watch() {
    guard !isWatching else { return }
    isWatching = true
    Task {
      repeat {
        try? await environment.sleep(for: Self.retryPause)
        tick()
        tickEven()
      } while waiter != nil || !catchUpWaiters.isEmpty
      isWatching = false
    }
  }

  private func tick() {
    guard let deadline = waiter?.deadline else { return }
    if environment.now >= deadline {
      coordinator.abandon()
      return finish(.outOfTime)
    }
    let reachable = servers.reachable
    if reachable.count < Limits.quorum {
      coordinator.abandon()
      return finish(.stuck(.silent(ServerSet.all.subtracting(reachable))))
    }
    perform(coordinator.retry(reachable: withNothingInFlight(reachable)))
  }

  private func withNothingInFlight(_ set: ServerSet) -> ServerSet {
    ServerSet { set.contains($0) && inFlight[$0.value] == 0 && !transfers.contains($0) }
  }

  private func finish(_ end: End) {
    guard let waiter else { return self.end = end }
    self.waiter = nil
    waiter.continuation.resume(returning: end)
  }

  // MARK: Performing

  func perform(_ actions: [Coordinator.Action]) {
    var messages: [[(NamespaceRequest, UInt64)]] = []
    for action in actions {
      switch action {
      case .send(let server, let request, let token):
        if messages.isEmpty { messages = Array(repeating: [], count: Limits.serverCount) }
        messages[server.value].append((request, token))
      case .transfer(let server, let source, let view): transfer(server, from: source, view)
      case .viewTaken(let head, let open):
        CrashPoint.reached(.viewTaken)
        servers.requests.agreed(on: head.view.namespace)
        servers.cache.viewTaken(head)
        // It may be committed, and others may have written after it.
        if let change = pending.take() { change.abandon() }
        finish(.leading(open: open))
        catchUp()
      case .committed(let head, let accepted):
        if let change = pending.take() { change.commit(as: head) }
        finish(.committed(head, accepted: accepted))
        catchUp()
      case .superseded: finish(.superseded)
      case .stuck(let obstacle): finish(.stuck(obstacle))
      }
    }
    for (index, list) in messages.enumerated() where !list.isEmpty {
      inFlight[index] += list.count
      deliver(list[...], to: ServerIndex(index))
    }
  }

  /// Sends one message after the other, each after the answer to the one before.
  private func deliver(_ messages: ArraySlice<(NamespaceRequest, UInt64)>, to server: ServerIndex) {
    guard let (request, _) = messages.first else { return }
    if case .install(_, _, let changes, _) = request, let lossGuard {
      return deliver(messages, changes, to: server, after: lossGuard)
    }
    send(messages, to: server)
  }

  func send(_ messages: ArraySlice<(NamespaceRequest, UInt64)>, to server: ServerIndex) {
    guard let (request, token) = messages.first else { return }
    servers.ask(server, message(request, for: server), timeout: Self.requestTimeout) { answer in
      self.onLoop {
        $0.answered(answer, to: request, by: server, token)
        $0.deliver(messages.dropFirst(), to: server)
      }
    }
  }

  private nonisolated func onLoop(_ body: @escaping @Sendable (isolated CoordinatorDriver) -> Void)
  {
    if loop.inEventLoop { return assumeIsolated(body) }
    Task { await body(self) }
  }

  private func answered(
    _ answer: Result<NamespaceReply, DFSError>, to request: NamespaceRequest,
    by server: ServerIndex, _ token: UInt64
  ) {
    inFlight[server.value] -= 1
    if case .apply(_, _, let change) = request, case .success(let reply) = answer {
      sent.note(reply, to: change.id, of: server)
    }
    receive(answer, from: server, token)
  }

  private func receive(
    _ answer: Result<NamespaceReply, DFSError>, from server: ServerIndex, _ token: UInt64
  ) {
    switch answer {
    case .success(let reply):
      if !refusals.isEmpty { refusals[server] = nil }
      if let point = reply.crashPoint { CrashPoint.reached(point) }
      perform(coordinator.receive(reply, token: token))
    case .failure(let error):
      if !error.isOfTheNet {
        refusal = refusal ?? error
        if refusals.updateValue(error, forKey: server) == nil {
          logger.warning("\(server) refuses changes", metadata: ["cause": "\(error)"])
        }
      }
      perform(coordinator.undelivered(token: token))
    }
    wakeCaughtUp()
  }

  private func message(
    _ request: NamespaceRequest, for server: ServerIndex
  ) -> Request.Namespace {
    guard case .apply(_, let number, let change) = request,
      let parts = parts.last(where: { $0.change == change.id })?.parts
    else { return Request.Namespace(request) }
    // What is committed is not refused by a server that lost its copies.
    let held = number > coordinator.head.number ? parts.held[server] ?? [] : []
    return Request.Namespace(
      request, parts: parts.inline, held: held, durable: parts.durable)
  }

  /// Keeps what travels with a change for as long as a server may have to be sent it (again).
  private func remember(_ changeParts: ChangeParts, of actions: [Coordinator.Action]) {
    let change = actions.lazy.compactMap { action -> ChangeID? in
      if case .send(_, .apply(_, _, let change), _) = action { change.id } else { nil }
    }.first
    sent.change = change
    parts.append((change, changeParts))
    if parts.count > Self.keptParts { parts.removeFirst() }
  }

  /// A server that is there and refuses changes (its disk is full, its database damaged), and what
  /// it said; it is tried again once a second.
  var refusing: (server: ServerIndex, error: DFSError)? {
    guard coordinator.phase == .leading else { return nil }
    let lagging = lagging
    return refusals.first { lagging.contains($0.key) }.map { ($0.key, $0.value) }
  }

  /// Tries servers that lag now, and waits a moment for their answers: what kept them may be over.
  func tryLagging() async {
    let idle = withNothingInFlight(servers.reachable.intersection(coordinator.lagging))
    if !idle.isEmpty { perform(coordinator.retry(reachable: idle)) }
    overdue = []
    await waitUntilCaughtUp(within: .milliseconds(500), refusingToo: true)
  }

  // MARK: Servers that lag

  /// Whether every server that can be reached is at the committed head, but for those that were
  /// waited for in vain and have lagged ever since (a transfer may take long).
  private func isCaughtUp(refusingToo: Bool) -> Bool {
    overdue.formIntersection(coordinator.lagging)
    return (refusingToo ? lagging : lagging.subtracting(refusingServers)).isSubset(of: overdue)
  }

  /// The servers that refused the last step, and that no transfer is about to have catch up.
  private var refusingServers: ServerSet {
    ServerSet(refusals.filter { $0.value.isOfTheDisk && !transfers.contains($0.key) }.map(\.key))
  }

  func wakeCaughtUp() {
    guard !catchUpWaiters.isEmpty else { return }
    wakeWaiters { isCaughtUp(refusingToo: $0.refusingToo) }
  }

  /// A server that is lost sends no answer that would end the wait for it.
  private func tickEven() {
    lookForLaterView()
    wakeCaughtUp()
    let now = environment.now
    guard catchUpWaiters.contains(where: { $0.deadline <= now }) else { return }
    overdue.formUnion(lagging)
    wakeWaiters { $0.deadline <= now }
  }

  /// A superseded client stops driving catch-up; it learns of the new view from the servers' notifications.
  private func lookForLaterView() {
    if !coordinator.lagging.isEmpty { coordinator.saw(servers.cache.latestView) }
  }

  private func wakeWaiters(where isToWake: (CatchUpWaiter) -> Bool) {
    let woken = catchUpWaiters.filter(isToWake)
    catchUpWaiters.removeAll(where: isToWake)
    for waiter in woken { waiter.continuation.resume() }
  }

  /// The servers that are known to be at the committed head of this client's view.
  var current: ServerSet {
    coordinator.phase == .leading ? ServerSet.all.subtracting(coordinator.lacking) : []
  }

  private var lagging: ServerSet { coordinator.lagging.intersection(servers.reachable) }

  /// Waits, at most `patience`, until every server that can be reached is at the committed head: so
  /// long the copies that travel with a change may be on three servers only, and whoever leaves
  /// takes them along.
  ///
  /// - Parameter refusingToo: also for servers that are there and refuse, as long as they do.
  nonisolated func catchUpIsOver(within patience: Duration, refusingToo: Bool = true) async {
    guard !stance.lagging.isEmpty else { return }
    await waitUntilCaughtUp(within: patience, refusingToo: refusingToo)
  }

  private func waitUntilCaughtUp(within patience: Duration, refusingToo: Bool) async {
    lookForLaterView()
    guard !isCaughtUp(refusingToo: refusingToo) else { return }
    watch()
    let deadline = environment.now + patience
    await withCheckedContinuation {
      catchUpWaiters.append(
        CatchUpWaiter(continuation: $0, refusingToo: refusingToo, deadline: deadline))
    }
  }

  /// While this client leads, servers that are not in its view or lack changes are tried again.
  private func catchUp() {
    guard !isCatchingUp, !coordinator.lagging.isEmpty else { return }
    isCatchingUp = true
    Task {
      while coordinator.phase == .leading, !coordinator.lagging.isEmpty {
        try? await environment.sleep(for: .seconds(1))
        let idle = withNothingInFlight(servers.reachable.intersection(coordinator.lagging))
        if coordinator.phase == .leading, !idle.isEmpty {
          perform(coordinator.retry(reachable: idle))
        }
      }
      isCatchingUp = false
    }
  }
}
