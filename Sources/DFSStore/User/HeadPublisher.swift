internal import DFSCore
internal import DFSReplication
internal import Synchronization

/// The head as it was made known: what `head()` answers, and what every answer waits for.
///
/// Invariants:
/// - The observer is called for each change in order, before the head that has it is shown.
/// - An answer with a head is given only after that head was shown, so that whoever reports it has
///   been told of every change in it, and whoever holds a read lease has dropped what it changed
///   (`GrantedLeases`).
final class HeadPublisher: Sendable {
  typealias Observer =
    @Sendable (_ keys: [RowKey]?, _ head: Head, _ author: UInt64?, _ number: UInt64) -> Void
  typealias Turn = @Sendable (Result<Void, any Error>) -> Void
  typealias Leases = GrantedLeases<ContinuousClock.Instant>

  fileprivate struct State {
    var head = Head.blank
    var generation: UInt64 = 0
    var change: UInt64 = 0
    /// Commits that are not shown yet.
    var hidden: [(change: UInt64, head: Head, generation: UInt64)] = []
    var leases = Leases(.standard)
    /// Up to which changes were announced.
    var announced = Head.blank
    var failure: DFSError?
    var observer: Observer?
    /// Who waits for a commit, by the generation of its ledger.
    var waiting: [(commit: UInt64, turn: Turn)] = []
  }

  private let state = Mutex(State())

  var head: Head { state.withLock { $0.head } }
  /// Why nothing is served from the database any more.
  var failure: DFSError? { state.withLock { $0.failure } }

  func observe(_ observer: @escaping Observer) { state.withLock { $0.observer = observer } }

  /// Tells the observer, then shows the head of `ledger` as soon as it may be. Called by the writer only.
  func publish(_ announcements: [Announcement], _ ledger: Ledger) {
    let (observer, numbers) = state.withLock { state in
      if let last = announcements.last { state.announced = last.head }
      return (state.observer, announcements.map { state.leases.announce(by: $0.author) })
    }
    for (announcement, number) in zip(announcements, numbers) {
      observer?(announcement.keys, announcement.head, announcement.author, number)
    }
    change { state in
      let last = state.leases.announced
      state.hidden.append((last, ledger.replica.head, ledger.generation))
    }
  }

  /// Changes what may be shown, and has those answered who waited for it.
  private func change(_ body: (inout State) -> Void) {
    let ready = state.withLock { state in
      body(&state)
      return state.show()
    }
    for turn in ready { turn(.success(())) }
  }

  // MARK: Waiting

  /// Calls `turn` once the head of `generation` was shown: at once, or where it is shown.
  func reached(_ generation: UInt64, _ turn: @escaping Turn) {
    reached(turn) { _ in generation }
  }

  /// Calls `turn` once everything was shown that is committed now.
  func reachedNow(_ turn: @escaping Turn) {
    reached(turn) { $0.hidden.last?.generation ?? $0.generation }
  }

  private func reached(_ turn: @escaping Turn, _ commit: (State) -> UInt64) {
    let now = state.withLock { state -> Result<Void, any Error>? in
      if let failure = state.failure { return .failure(failure) }
      let commit = commit(state)
      if commit <= state.generation { return .success(()) }
      state.waiting.append((commit, turn))
      return nil
    }
    if let now { turn(now) }
  }

  /// No further head will be shown.
  /// - Returns: false if that was so before.
  func fail(_ error: DFSError) -> Bool {
    let (isFirst, waiting) = state.withLock { state in
      defer { state.waiting = [] }
      let isFirst = state.failure == nil
      if isFirst { state.failure = error }
      return (isFirst, state.waiting)
    }
    waiting.forEach { $0.turn(.failure(error)) }
    return isFirst
  }

  // MARK: Read leases

  /// The head up to which changes were announced that are not shown yet; nil if there are none. Who is told of
  /// changes from now on was not told of these.
  var unshown: Head? {
    state.withLock { $0.leases.announced > $0.change ? $0.announced : nil }
  }

  /// Grants a lease. A lease of an earlier connection may end.
  func grant(_ holder: Leases.Holder, to client: ClientID) {
    change { $0.leases.grant(holder, to: client, now: .now) }
  }

  func heard(_ holder: Leases.Holder) {
    state.withLock { $0.leases.heard(holder, now: .now) }
  }

  func saw(_ holder: Leases.Holder, through number: UInt64) {
    change { $0.leases.saw(holder, through: number) }
  }

  func end(_ holder: Leases.Holder) { change { $0.leases.end(holder) } }

  func told(_ holder: Leases.Holder, through number: UInt64) {
    state.withLock { $0.leases.told(holder, through: number) }
  }

  func disconnected(_ holder: Leases.Holder) {
    state.withLock { $0.leases.disconnected(holder) }
  }

  func look(_ holder: Leases.Holder) -> ContinuousClock.Instant? {
    var next: ContinuousClock.Instant?
    change { next = $0.leases.look(holder, now: .now) }
    return next
  }

  /// Who holds leases.
  var leaseClients: Set<ClientID> { state.withLock { $0.leases.clients } }
}

extension HeadPublisher.State {
  /// Shows what may be shown now.
  /// - Returns: those who waited for it.
  fileprivate mutating func show() -> [HeadPublisher.Turn] {
    guard !hidden.isEmpty else { return [] }
    let seen = leases.seen
    let count = hidden.prefix { $0.change <= seen }.count
    guard count > 0 else { return [] }
    (change, head, generation) = hidden[count - 1]
    hidden.removeFirst(count)
    guard !waiting.isEmpty else { return [] }
    let all = waiting
    waiting = all.filter { $0.commit > generation }
    return all.filter { $0.commit <= generation }.map(\.turn)
  }
}
