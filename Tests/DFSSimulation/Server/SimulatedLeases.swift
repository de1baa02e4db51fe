internal import DFSCore
internal import DFSReplication
internal import DFSTestSupport
internal import DFSWire

/// The read leases that a server of a world has granted, and what waits for them: what `HeadPublisher`,
/// `SessionHandler+Leases` and `UserStore+Leases` are in a server.
///
/// In worlds without leases everything is shown at once.
final class SimulatedLeases {
  private struct Hidden {
    let change: UInt64
    let head: Head
    let generation: Int
  }

  private unowned let server: SimulatedServer
  private unowned let world: World
  /// How much faster the server's clock goes than the world's.
  private let rate: Double
  private static let start = ContinuousClock.now

  private var granted: GrantedLeases<ContinuousClock.Instant>
  private var lastShown = Head.blank
  private var shownChange: UInt64 = 0
  private var hidden: [Hidden] = []
  private var waiting: [(change: UInt64, answer: () -> Void)] = []
  /// The last change of each push that was sent on a connection.
  private var pushes: [Int: [UInt64]] = [:]
  private var watched: Set<Int> = []
  private var graceUntil = 0
  /// Who had leases of the process before and has not come back.
  private var awaited: Set<ClientID> = []
  private var isWaiting = false
  private var generation = 0

  init(_ server: SimulatedServer, world: World) {
    (self.server, self.world) = (server, world)
    rate = world.settings.hasLeases ? world.serverClockRate() : 1
    granted = GrantedLeases(world.settings.leaseTerm)
  }

  private var now: ContinuousClock.Instant {
    Self.start + .microseconds(Int(Double(world.now) * rate))
  }
  private var isOn: Bool { world.settings.hasLeases }

  /// What answers tell: all that there is, where nothing is hidden.
  var shown: Head { hidden.isEmpty ? server.head : lastShown }

  // MARK: Life

  /// Whether connections are taken.
  /// - Parameter client: who asks: it has dropped what it knew.
  func isServing(_ client: ClientID) -> Bool {
    awaited.remove(client)
    if world.mistake != .restartWithoutGrace, graceUntil > world.now, !awaited.isEmpty {
      return false
    }
    if isWaiting { (isWaiting, server.disk.leases) = (false, []) }
    return true
  }

  func stop() {
    granted = GrantedLeases(world.settings.leaseTerm)
    (hidden, waiting, pushes, watched) = ([], [], [:], [])
    shownChange = 0
  }

  func start() {
    generation += 1
    lastShown = server.head
    awaited = server.disk.leases
    guard isOn, !awaited.isEmpty else { return }
    isWaiting = true
    let grace = Int((world.settings.leaseTerm.granted / .microseconds(1) / rate).rounded(.up)) + 1
    graceUntil = world.now + grace
  }

  /// The head up to which changes were announced that are not shown yet; nil if there are none.
  var unshown: Head? { isOn && granted.announced > shownChange ? server.head : nil }

  /// A connection has ended.
  func ended(_ session: Int) {
    guard isOn else { return }
    if world.mistake == .brokenConnectionEndsLease {
      change { $0.end(UInt64(session)) }
    } else {
      granted.disconnected(UInt64(session))
      look(session)
    }
  }

  // MARK: Changes

  /// Announces a change.
  func announce(by author: Int?, _ tell: () -> Void) {
    guard isOn else {
      tell()
      return
    }
    let number = granted.announce(by: author.map(UInt64.init))
    tell()
    hidden.append(Hidden(change: number, head: server.head, generation: generation))
    change { _ in }
  }

  /// The push of the last change is sent on a connection.
  func pushed(on session: Int) {
    guard isOn else { return }
    pushes[session, default: []].append(granted.announced)
    granted.told(UInt64(session), through: granted.announced)
    look(session)
  }

  private func change(_ body: (inout GrantedLeases<ContinuousClock.Instant>) -> Void) {
    body(&granted)
    let seen = granted.seen
    while let first = hidden.first, first.change <= seen {
      (lastShown, shownChange) = (first.head, first.change)
      hidden.removeFirst()
    }
    let ready = waiting.filter { $0.change <= shownChange }
    waiting.removeAll { $0.change <= shownChange }
    for one in ready { one.answer() }
  }

  // MARK: Requests

  /// Has a request answered when what its answer tells may be shown.
  func answer(_ request: Request, on session: Int, _ answer: @escaping () -> Void) {
    guard isOn else { return answer() }
    granted.heard(UInt64(session), now: now)
    let mistake = world.mistake
    switch request {
    case .query where mistake != .queriesShowEarly, .refillBegin, .refillEnd: wait(answer)
    case .namespace(let asked):
      if case .apply = asked.step, mistake == .shownBeforeSeen { return answer() }
      wait(answer)
    default: answer()
    }
  }

  private func wait(_ answer: @escaping () -> Void) {
    if shownChange >= granted.announced { return answer() }
    world.counts.leaseWaits += 1
    waiting.append((granted.announced, answer))
  }

  /// - Parameter answer: called when the answer is due.
  func perform(
    _ lease: Request.Lease, on session: Int, by client: ClientID, _ answer: @escaping () -> Void
  ) {
    let holder = UInt64(session)
    granted.heard(holder, now: now)
    guard server.hasSession(session) else { return }
    if lease.pushes > 0, let last = pushes[session]?.prefix(Int(lease.pushes)).last {
      change { $0.saw(holder, through: last) }
    }
    switch lease.step {
    case .seen: answer()
    case .givenUp:
      change { $0.end(holder) }
      answer()
    case .asked:
      world.counts.leases += 1
      server.disk.leases.insert(client)
      change { $0.grant(holder, to: client, now: now) }
      answer()
    }
  }

  private func look(_ session: Int) {
    guard !watched.contains(session) else { return }
    var next: ContinuousClock.Instant?
    change { granted in
      let holder = UInt64(session)
      // As if the connection had ended.
      if world.mistake == .silentLeaseIsForgotten { granted.disconnected(holder) }
      next = granted.look(holder, now: now)
    }
    guard let next else { return }
    watched.insert(session)
    lookAgain(session, in: (next - now) / .microseconds(1) / rate)
  }

  private func lookAgain(_ session: Int, in time: Double) {
    let generation = generation
    world.after(max(1, Int(time.rounded(.up)))) { [self] in
      guard self.generation == generation, server.isUp else { return }
      if server.stillUntil > world.now { return lookAgain(session, in: 2_000) }
      watched.remove(session)
      look(session)
    }
  }
}
