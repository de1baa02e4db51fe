internal import DFSCore
internal import DFSReplication
internal import Synchronization

/// Heads of servers, asked for after a call began.
///
/// Invariant: a round serves only calls that began before its pings were sent; calls that come while
/// a round is under way share the next one.
final class FreshnessCheck: Sendable {
  private struct State {
    var isUnderWay = false
    var waiting: [CheckedContinuation<Bool, Never>] = []
  }

  private let servers: ServerPool
  private let state = Mutex(State())

  init(servers: ServerPool) { self.servers = servers }

  /// Whether what is cached, and survives this call, is current: this client has read leases, or enough servers
  /// answered, all their pushes before.
  /// - Parameter asked: heads that were asked for since that call began; these servers are not asked once more.
  func confirm(_ asked: AskedHeads? = nil) async -> Bool {
    if servers.leases?.areLive() ?? false { return true }
    if let asked, case let servers = asked.take(), !servers.isEmpty {
      return await round(asked, of: servers)
    }
    let isFirst = state.withLock { state in
      defer { state.isUnderWay = true }
      return !state.isUnderWay
    }
    guard isFirst else { return await waitForRound() }
    let isConfirmed = await round()
    if let waiters = takeWaiters() { Task { await rounds(waiters) } }
    return isConfirmed
  }

  private func waitForRound() async -> Bool {
    await withCheckedContinuation { waiter in
      // The round that was under way may be over.
      let isFirst = state.withLock { state in
        state.waiting.append(waiter)
        defer { state.isUnderWay = true }
        return !state.isUnderWay
      }
      if isFirst, let waiters = takeWaiters() { Task { await rounds(waiters) } }
    }
  }

  private func rounds(_ first: [CheckedContinuation<Bool, Never>]) async {
    var next: [CheckedContinuation<Bool, Never>]? = first
    while let waiters = next {
      let isConfirmed = await round()
      for waiter in waiters { waiter.resume(returning: isConfirmed) }
      next = takeWaiters()
    }
  }

  /// - Parameters: as of `heads`.
  private func round(_ asked: AskedHeads? = nil, of told: [ServerIndex] = []) async -> Bool {
    await heads(asked, of: told, leasing: true) { Quorum.isCurrent(confirmedBy: $0.count) }
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

  /// Pings reachable servers, three at first, until `enough` holds of the heads that came.
  /// - Parameters:
  ///   - asked: heads that are on their way.
  ///   - told: the servers that tell these, which count first and are not pinged.
  ///   - leasing: those that are pinged are also asked for read leases.
  /// - Returns: whether it did, before all had answered or failed.
  func heads(
    _ asked: AskedHeads? = nil, of told: [ServerIndex] = [], leasing: Bool = false,
    until enough: @escaping @Sendable ([ServerIndex: Head]) -> Bool
  ) async -> Bool {
    let others = servers.byPreference(servers.reachable).filter { !told.contains($0) }
    let found = await gather(
      from: told + others, on: servers.loop, first: Limits.quorum,
      reserve: servers.reserve, until: enough
    ) { [servers] (server: ServerIndex, note: @escaping @Sendable (Head?) -> Void) in
      if let asked, told.contains(server) {
        asked.head(of: server, note)
      } else if leasing {
        servers.pingForLease(server, note)
      } else {
        servers.ping(server, note)
      }
    }
    return enough(found)
  }
}
