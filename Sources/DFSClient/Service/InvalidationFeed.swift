internal import DFSCore
internal import DFSReplication
internal import Synchronization

/// What other clients changed, until it is fetched: at most `limit` rows, after which it is
/// everything. A slow listener costs no memory and misses nothing.
final class InvalidationFeed: Sendable {
  static let limit = 10_000

  private struct State {
    var keys: Set<RowKey> = []
    var isEverything = false
    var isFinished = false
    var waiter: CheckedContinuation<Invalidation?, Never>?

    /// What there is to tell, which is then told.
    mutating func take() -> Invalidation? {
      defer {
        keys = []
        isEverything = false
      }
      if isEverything { return .everything }
      return keys.isEmpty ? nil : .rows(Array(keys))
    }
  }

  private let state = Mutex(State())

  var stream: AsyncStream<Invalidation> {
    AsyncStream(unfolding: { await self.next() }, onCancel: { self.finish() })
  }

  func add(_ keys: [RowKey]) {
    // A change's identity is nobody's business.
    let keys = keys.filter { $0 != Coordinator.identityKey }
    guard !keys.isEmpty else { return }
    update {
      $0.keys.formUnion(keys)
      if $0.keys.count > Self.limit { $0.isEverything = true }
    }
  }

  func addEverything() { update { $0.isEverything = true } }

  func finish() { update { $0.isFinished = true } }

  private func update(_ change: (inout State) -> Void) {
    let (waiter, told) = state.withLock {
      state -> (CheckedContinuation<Invalidation?, Never>?, Invalidation?) in
      change(&state)
      guard let waiter = state.waiter else { return (nil, nil) }
      let told = state.isFinished ? nil : state.take()
      guard told != nil || state.isFinished else { return (nil, nil) }
      state.waiter = nil
      return (waiter, told)
    }
    waiter?.resume(returning: told)
  }

  private func next() async -> Invalidation? {
    await withCheckedContinuation { waiter in
      let now = state.withLock { state -> Invalidation?? in
        if state.isFinished { return .some(nil) }
        if let told = state.take() { return told }
        state.waiter = waiter
        return .none
      }
      if let now { waiter.resume(returning: now) }
    }
  }
}
