internal import DFSClient
internal import DFSCore
internal import Synchronization

/// Calls that the kernel makes a second time. Told ESTALE it asks again for every name on the way
/// (`LOOKUP_REVAL`), and performs the call with what it finds; only once, so whoever is overtaken then
/// must not be told ESTALE again. What the names meant while the call ran is what it may use, as on a
/// local disk, where names are resolved before a file is opened: so an open of what was found then
/// opens that, even if it is replaced by now. An inode that the kernel knew before gives no such right.
///
/// Which call a request belongs to is told by its thread. What a second look finds is told to the
/// kernel for this call only, so that no later call comes without asking for the name itself.
final class SecondLooks: Sendable {
  /// What a name meant, asked for during the call.
  struct Found: Sendable {
    let name: NodeName
    let inode: Inode
  }

  /// Why a call is to come again.
  private enum Reason {
    /// This was told to be gone.
    case gone(InodeID)
    /// The kernel may have another size of a file: with the names it is told that, too. With
    /// `NodeTable.forgettings` before it.
    case size(InodeID, forgettings: UInt64)
  }

  private struct Look {
    var found: [InodeID: Found] = [:]
    var reason: Reason?
    /// The names that were asked for last, with nothing else between, and what they mean: rename(2)
    /// asks so for its two names.
    var last: Found?
    var lastButOne: Found?
    var end: ContinuousClock.Instant
  }

  /// Longer than a second look takes. It ends with the call, which only some calls show.
  private static let duration = Duration.seconds(10)
  /// Directories on a path, and names.
  private static let limit = 4096
  private static let callers = 1024

  private struct State {
    var looks: [Caller: Look] = [:]
    /// Those of callers that are not told yet.
    var reasons: [Caller: Reason] = [:]
    /// When the last of them is over.
    var end = ContinuousClock.now
  }

  private let state = Mutex(State())
  private let isUsed = Atomic(false)

  /// The caller will be told ESTALE, since this inode is gone.
  func noteGone(_ id: InodeID, for caller: Caller) { note(.gone(id), for: caller) }

  /// The caller will be told ESTALE, so that the kernel asks for attributes of this inode after it was
  /// made to forget those that it had `forgettings` times.
  func noteSize(of id: InodeID, forgettings: UInt64, for caller: Caller) {
    note(.size(id, forgettings: forgettings), for: caller)
  }

  private func note(_ reason: Reason, for caller: Caller) {
    state.withLock { state in
      if state.reasons.count >= Self.callers { state.reasons = [:] }
      state.reasons[caller] = reason
    }
  }

  /// The caller is told ESTALE.
  func begin(_ caller: Caller) {
    state.withLock { state in
      let now = ContinuousClock.now
      if state.looks.count >= Self.callers {
        state.looks = state.looks.filter { $0.value.end > now }
      }
      state.end = now + Self.duration
      state.looks[caller] = Look(reason: state.reasons.removeValue(forKey: caller), end: state.end)
      isUsed.store(true, ordering: .relaxed)
    }
  }

  /// Whether the caller's call was told that this inode is gone, and comes for it again: it has not
  /// got it by a name that could be asked for anew; or it has, and the inode went since.
  func isAskedAgain(_ id: InodeID, by caller: Caller) -> Bool {
    read(caller) { look in
      if case .gone(id) = look.reason { return true }
      return look.found[id] != nil
    } ?? false
  }

  /// How often the kernel had been made to forget the inode when the caller's call was sent for its
  /// size; nil if it was not.
  func forgettings(of id: InodeID, by caller: Caller) -> UInt64? {
    let known: UInt64?? = read(caller) { look in
      if case .size(id, let forgettings) = look.reason { forgettings } else { nil }
    }
    return known ?? nil
  }

  func isSecond(_ caller: Caller) -> Bool { read(caller) { _ in true } ?? false }

  /// What the caller's call has found by its second look, if it is this inode.
  func found(_ id: InodeID, by caller: Caller) -> Found? { read(caller) { $0.found[id] } ?? nil }

  /// Whether the caller was just told that the inode has this name: with its next question it would
  /// take both for names of one file.
  func hasJustFound(_ id: InodeID, as name: NodeName, by caller: Caller) -> Bool {
    let isOne = read(caller) { look in
      [look.last, look.lastButOne].contains { $0?.name == name && $0?.inode.id == id }
    }
    return isOne ?? false
  }

  func note(_ found: Found, by caller: Caller) {
    change(caller) { look in
      if look.found.count < Self.limit { look.found[found.inode.id] = found }
      // The kernel may ask for one name twice in a row.
      if look.last?.name != found.name { look.lastButOne = look.last }
      look.last = found
    }
  }

  /// The caller asks, perhaps for something else than a name.
  func note(_ caller: Caller, asksFor operation: Operation) {
    guard isAny, operation.role != .name else { return }
    change(caller) { look in
      look.last = nil
      look.lastButOne = nil
    }
  }

  /// An operation of the caller's has ended; with some the call does.
  func noteEnd(of operation: Operation, by caller: Caller) {
    guard isAny, operation.role == .purpose else { return }
    state.withLock { $0.looks[caller] = nil }
  }

  private var isAny: Bool { isUsed.load(ordering: .relaxed) }

  private func change(_ caller: Caller, _ body: (inout Look) -> Void) {
    guard isAny else { return }
    state.withLock { state in
      let now = ContinuousClock.now
      guard state.end > now else {
        // So that nothing is spent on them where nobody is overtaken.
        state.looks = [:]
        return isUsed.store(false, ordering: .relaxed)
      }
      guard var look = state.looks.removeValue(forKey: caller), look.end > now else { return }
      body(&look)
      state.looks[caller] = look
    }
  }

  private func read<Value>(_ caller: Caller, _ body: (Look) -> Value) -> Value? {
    guard isAny else { return nil }
    return state.withLock { state in
      guard let look = state.looks[caller], look.end > .now else { return nil }
      return body(look)
    }
  }
}
