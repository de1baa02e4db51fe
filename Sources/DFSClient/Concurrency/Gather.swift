internal import DFSCore
internal import NIOCore
internal import Synchronization

/// One question to several servers at once: their answers, until there are enough of them, or all
/// servers have answered or failed, or the time is up.
///
/// Without tasks: a question wakes its event loop once, and who waits once, however many servers are
/// asked.
/// - Parameters:
///   - loop: where the servers are asked, and answer.
///   - limit: how long it may take at the most.
///   - ask: asks one server, and calls what it is given once, later, with nil if there is no answer.
func gather<Answer: Sendable>(
  from servers: [ServerIndex], on loop: any EventLoop, within limit: DelayQueue? = nil,
  until enough: @escaping @Sendable ([ServerIndex: Answer]) -> Bool = { _ in false },
  _ ask: @escaping @Sendable (ServerIndex, @escaping @Sendable (Answer?) -> Void) -> Void
) async -> [ServerIndex: Answer] {
  guard !servers.isEmpty else { return [:] }
  return await withCheckedContinuation { waiter in
    let gathering = Gathering(servers.count, enough, waiter)
    limit?.callBack { gathering.end() }
    loop.execute {
      for server in servers { ask(server) { gathering.note(server, $0) } }
    }
  }
}

/// Invariant: the waiter is woken once, and nothing is taken after that.
private final class Gathering<Answer: Sendable>: Sendable {
  fileprivate struct State {
    var answers: [ServerIndex: Answer] = [:]
    var missing: Int
    /// Nil once it was woken.
    var waiter: CheckedContinuation<[ServerIndex: Answer], Never>?
  }

  private let enough: @Sendable ([ServerIndex: Answer]) -> Bool
  private let state: Mutex<State>

  init(
    _ count: Int, _ enough: @escaping @Sendable ([ServerIndex: Answer]) -> Bool,
    _ waiter: CheckedContinuation<[ServerIndex: Answer], Never>
  ) {
    self.enough = enough
    state = Mutex(State(missing: count, waiter: waiter))
  }

  func note(_ server: ServerIndex, _ answer: Answer?) {
    state.withLock { state in
      guard state.waiter != nil else { return }
      state.missing -= 1
      state.answers[server] = answer
      if enough(state.answers) || state.missing == 0 { state.wake() }
    }
  }

  /// The time is up.
  func end() { state.withLock { $0.wake() } }
}

extension Gathering.State {
  fileprivate mutating func wake() {
    waiter?.resume(returning: answers)
    waiter = nil
  }
}
