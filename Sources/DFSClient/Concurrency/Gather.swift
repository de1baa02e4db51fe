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
///   - first: so many of the servers are asked at first, the others when `reserve` is over or when those do not
///     prove enough.
///   - ask: asks one server, and calls what it is given once, later, with nil if there is no answer.
func gather<Answer: Sendable>(
  from servers: [ServerIndex], on loop: any EventLoop, within limit: DelayQueue? = nil,
  first: Int = Limits.serverCount, reserve: DelayQueue? = nil,
  until enough: @escaping @Sendable ([ServerIndex: Answer]) -> Bool = { _ in false },
  _ ask: @escaping @Sendable (ServerIndex, @escaping @Sendable (Answer?) -> Void) -> Void
) async -> [ServerIndex: Answer] {
  guard !servers.isEmpty else { return [:] }
  return await withCheckedContinuation { waiter in
    let gathering = Gathering(servers, first: first, enough, waiter, ask)
    limit?.callBack { gathering.end() }
    if servers.count > first { reserve?.callBack { gathering.askRest() } }
    loop.execute { gathering.askFirst() }
  }
}

/// Invariant: the waiter is woken once, and nothing is taken after that.
private final class Gathering<Answer: Sendable>: Sendable {
  typealias Ask = @Sendable (ServerIndex, @escaping @Sendable (Answer?) -> Void) -> Void

  fileprivate struct State {
    var answers: [ServerIndex: Answer] = [:]
    /// Servers that were asked and have not answered.
    var awaited: Int
    /// Servers that are asked where the others do not prove enough.
    var rest: ArraySlice<ServerIndex>
    /// Nil once it was woken.
    var waiter: CheckedContinuation<[ServerIndex: Answer], Never>?
  }

  private let first: ArraySlice<ServerIndex>
  private let enough: @Sendable ([ServerIndex: Answer]) -> Bool
  private let ask: Ask
  private let state: Mutex<State>

  init(
    _ servers: [ServerIndex], first count: Int,
    _ enough: @escaping @Sendable ([ServerIndex: Answer]) -> Bool,
    _ waiter: CheckedContinuation<[ServerIndex: Answer], Never>, _ ask: @escaping Ask
  ) {
    first = servers.prefix(count)
    self.enough = enough
    self.ask = ask
    state = Mutex(
      State(awaited: first.count, rest: servers.dropFirst(count), waiter: waiter))
  }

  func askFirst() { ask(first) }

  /// Asks those too that were left out.
  func askRest() { ask(state.withLock { $0.takeRest() }) }

  private func ask(_ servers: ArraySlice<ServerIndex>) {
    for server in servers { ask(server) { self.note(server, $0) } }
  }

  private func note(_ server: ServerIndex, _ answer: Answer?) {
    let rest: ArraySlice<ServerIndex> = state.withLock { state in
      guard state.waiter != nil else { return [] }
      state.awaited -= 1
      state.answers[server] = answer
      if enough(state.answers) {
        state.wake()
      } else if answer == nil || state.awaited == 0 {
        let rest = state.takeRest()
        if state.awaited == 0 { state.wake() }
        return rest
      }
      return []
    }
    ask(rest)
  }

  /// The time is up.
  func end() { state.withLock { $0.wake() } }
}

extension Gathering.State {
  fileprivate mutating func takeRest() -> ArraySlice<ServerIndex> {
    guard waiter != nil else { return [] }
    defer { rest = [] }
    awaited += rest.count
    return rest
  }

  fileprivate mutating func wake() {
    waiter?.resume(returning: answers)
    waiter = nil
  }
}
