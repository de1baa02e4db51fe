internal import DFSCore
internal import Synchronization

/// Heads that servers are asked for, since one call began, by questions about something else: that call need not
/// ask these servers for them once more.
///
/// Invariant: they serve one check of that call only, for they prove nothing of what happens after it.
public final class AskedHeads: Sendable {
  private enum Answer {
    case awaited([@Sendable (Head?) -> Void])
    case told(Head?)
  }

  private struct State {
    var answers: [ServerIndex: Answer] = [:]
    var isUsed = false
  }

  private let state = Mutex(State())

  init() {}

  /// These servers are about to be asked; each then tells something once.
  func expect(_ servers: [ServerIndex]) {
    state.withLock { state in for server in servers { state.answers[server] = .awaited([]) } }
  }

  /// - Parameter head: nil if the server has not told one, and will not.
  func told(_ head: Head?, by server: ServerIndex) {
    let waiting = state.withLock { state -> [@Sendable (Head?) -> Void] in
      defer { state.answers[server] = .told(head) }
      guard case .awaited(let waiting) = state.answers[server] else { return [] }
      return waiting
    }
    for note in waiting { note(head) }
  }

  /// Those that were asked; none the second time.
  func take() -> [ServerIndex] {
    state.withLock { state in
      defer { state.isUsed = true }
      return state.isUsed ? [] : state.answers.keys.sorted { $0.value < $1.value }
    }
  }

  /// - Parameter note: called once, now or later, with the head of a server that was asked.
  func head(of server: ServerIndex, _ note: @escaping @Sendable (Head?) -> Void) {
    let head = state.withLock { state -> Head?? in
      switch state.answers[server] {
      case .told(let head): return .some(head)
      case .awaited(let waiting):
        state.answers[server] = .awaited(waiting + [note])
        return nil
      case nil: return .some(nil)
      }
    }
    if let head { note(head) }
  }
}

extension AskedHeads: Hashable {
  public static func == (one: AskedHeads, other: AskedHeads) -> Bool { one === other }
  public func hash(into hasher: inout Hasher) { hasher.combine(ObjectIdentifier(self)) }
}
