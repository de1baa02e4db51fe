internal import DFSCore
internal import DFSReplication
internal import Synchronization

/// Heads of servers, asked for after a call began.
///
/// Invariant: a round serves only calls that began before its pings were sent; calls that come while
/// a round is under way share the next one.
final class NamespacePings: Sendable {
  private struct State {
    var isUnderWay = false
    var waiting: [CheckedContinuation<Bool, Never>] = []
  }

  private let servers: NamespaceServers
  private let state = Mutex(State())

  init(servers: NamespaceServers) { self.servers = servers }

  /// Whether what is cached, and survives this call, is current: enough servers answered, all their
  /// pushes before.
  func confirm() async -> Bool {
    await withCheckedContinuation { waiter in
      let begins = state.withLock { state -> Bool in
        state.waiting.append(waiter)
        defer { state.isUnderWay = true }
        return !state.isUnderWay
      }
      if begins { Task { await rounds() } }
    }
  }

  private func rounds() async {
    while let waiters = takeWaiters() {
      let isConfirmed =
        await heads { Quorum.isCurrent(confirmedBy: $0.count) }
      for waiter in waiters { waiter.resume(returning: isConfirmed) }
    }
  }

  /// Those whom the next round serves; nil, and no round is under way, if there are none.
  private func takeWaiters() -> [CheckedContinuation<Bool, Never>]? {
    state.withLock { state in
      guard !state.waiting.isEmpty else {
        state.isUnderWay = false
        return nil
      }
      defer { state.waiting = [] }
      return state.waiting
    }
  }

  /// Pings all reachable servers until `enough` holds of the heads that came.
  /// - Returns: whether it did, before all had answered or failed.
  func heads(until enough: @escaping @Sendable ([ServerIndex: Head]) -> Bool) async -> Bool {
    let asked = servers.reachable.servers
    guard !asked.isEmpty else { return false }
    return await withCheckedContinuation { waiter in
      let round = PingRound(asked.count, enough, waiter)
      for server in asked { servers.ping(server) { round.note(server, $0) } }
    }
  }
}

/// The answers to pings, until there are enough of them.
private final class PingRound: Sendable {
  private struct State {
    var heads: [ServerIndex: Head] = [:]
    var waiting: Int
    /// Nil once it was woken.
    var waiter: CheckedContinuation<Bool, Never>?
  }

  private let enough: @Sendable ([ServerIndex: Head]) -> Bool
  private let state: Mutex<State>

  init(
    _ count: Int, _ enough: @escaping @Sendable ([ServerIndex: Head]) -> Bool,
    _ waiter: CheckedContinuation<Bool, Never>
  ) {
    self.enough = enough
    state = Mutex(State(waiting: count, waiter: waiter))
  }

  func note(_ server: ServerIndex, _ head: Head?) {
    state.withLock { state in
      state.waiting -= 1
      state.heads[server] = head
      let isEnough = enough(state.heads)
      guard isEnough || state.waiting == 0, let waiter = state.waiter else { return }
      state.waiter = nil
      waiter.resume(returning: isEnough)
    }
  }
}
