internal import DFSCore
internal import DFSWire
internal import Synchronization

/// What the connections of one user have under way on this server, so that nobody takes the room of
/// others: a user who asks for much, or does not read the answers, waits for himself.
///
/// Invariant: the bytes are at most the limit, but for a single request where nothing else is under
/// way, and for requests so small that they are always let in (a ping tells that the server lives).
final class UserLoad: Sendable {
  /// A connection after its login.
  struct Member: Sendable {
    /// What the password was checked against.
    let verifier: ScramVerifier
    /// Ends it, with the reason.
    let end: @Sendable (DFSError) -> Void
  }

  private struct State {
    var bytes = 0
    var members: [SessionID: Member] = [:]
    var waiting: [(session: SessionID, wake: @Sendable () -> Void)] = []
    var quota: (@Sendable (UInt64?) -> Void)?
  }

  private static let alwaysAdmitted = 1024
  /// Those that are woken when room was made.
  private static let wokenAtOnce = 4

  let limit: Int
  private let state = Mutex(State())
  private let begun = Atomic<UInt64>(0)

  init(limit: Int) { self.limit = limit }

  var bytes: Int { state.withLock { $0.bytes } }

  /// The requests that were begun since the start.
  var requests: UInt64 { begun.load(ordering: .relaxed) }

  /// A request is begun.
  func countRequest() { begun.wrappingAdd(1, ordering: .relaxed) }

  func admits(_ weight: Int) -> Bool {
    weight <= Self.alwaysAdmitted
      || state.withLock { $0.bytes == 0 || $0.bytes + weight <= limit }
  }

  func add(_ weight: Int) {
    let woken = state.withLock { state -> [@Sendable () -> Void] in
      state.bytes += weight
      guard weight < 0, !state.waiting.isEmpty else { return [] }
      let woken = state.waiting.prefix(Self.wokenAtOnce).map(\.wake)
      state.waiting.removeFirst(woken.count)
      return woken
    }
    for wake in woken { wake() }
  }

  /// Calls `wake` once, when there may be room.
  func wait(_ session: SessionID, _ wake: @escaping @Sendable () -> Void) {
    let isThere = state.withLock { state in
      if state.bytes == 0 { return true }
      if !state.waiting.contains(where: { $0.session == session }) {
        state.waiting.append((session, wake))
      }
      return false
    }
    if isThere { wake() }
  }

  /// Sets the quota of the user's store.
  var quota: (@Sendable (UInt64?) -> Void)? {
    get { state.withLock { $0.quota } }
    set { state.withLock { $0.quota = newValue } }
  }

  // MARK: Connections

  /// - Returns: false if that would be more than `limit` connections.
  func enter(_ session: SessionID, _ member: Member, limit: Int) -> Bool {
    state.withLock { state in
      guard state.members.count < limit else { return false }
      state.members[session] = member
      return true
    }
  }

  func leave(_ session: SessionID) {
    state.withLock { state in
      state.members[session] = nil
      state.waiting.removeAll { $0.session == session }
    }
  }

  /// The connections whose password was checked against another verifier, or against one where there is
  /// none any more.
  func members(notOf verifier: ScramVerifier?) -> [Member] {
    state.withLock { $0.members.values.filter { $0.verifier != verifier } }
  }
}

/// One for each user who has logged in since the start.
final class UserLoads: Sendable {
  private let limit: Int
  private let loads = Mutex<[UserName: UserLoad]>([:])

  /// - Parameter limit: bytes of one user.
  init(limit: Int) { self.limit = limit }

  func load(of user: UserName) -> UserLoad {
    loads.withLock { loads in
      if let known = loads[user] { return known }
      let new = UserLoad(limit: limit)
      loads[user] = new
      return new
    }
  }

  var all: [(UserName, UserLoad)] { loads.withLock { $0.map { ($0.key, $0.value) } } }
}
