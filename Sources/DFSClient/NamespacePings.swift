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
  func heads(until enough: ([ServerIndex: Head]) -> Bool) async -> Bool {
    let (answers, feed) = AsyncStream.makeStream(of: (ServerIndex, Head?).self)
    let asked = servers.reachable.servers
    for server in asked {
      Task { [servers] in feed.yield((server, try? await servers.ping(server))) }
    }
    guard !asked.isEmpty else { return false }
    var heads: [ServerIndex: Head] = [:]
    var waiting = asked.count
    for await (server, head) in answers {
      heads[server] = head
      if enough(heads) { return true }
      waiting -= 1
      if waiting == 0 { return false }
    }
    return false
  }
}
