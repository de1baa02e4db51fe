internal import Synchronization

/// What came and was not looked at yet, for one task that looks at it; who puts something in needs no
/// task. The task is woken once there is enough to look at, or something that presses.
final class Mailbox<Event: Sendable>: Sendable {
  private struct State {
    var events: [Event] = []
    var isPressing = false
    var isClosed = false
    var waiter: (least: Int, turn: CheckedContinuation<[Event], Never>)?

    mutating func takeIfEnough(_ least: Int) -> [Event]? {
      guard isPressing || events.count >= least else { return nil }
      defer { (events, isPressing) = ([], false) }
      return events
    }
  }

  private let state = Mutex(State())

  /// - Parameter presses: it is to be looked at now, however little there is.
  /// - Returns: false if nobody will look at it.
  @discardableResult
  func put(_ event: Event, presses: Bool = false) -> Bool {
    state.withLock { state in
      guard !state.isClosed else { return false }
      state.events.append(event)
      state.isPressing = state.isPressing || presses
      if let waiter = state.waiter, let events = state.takeIfEnough(waiter.least) {
        state.waiter = nil
        waiter.turn.resume(returning: events)
      }
      return true
    }
  }

  /// Waits for `least` events, or for one that presses.
  func take(atLeast least: Int = 1) async -> [Event] {
    await withCheckedContinuation { turn in
      state.withLock { state in
        if let events = state.takeIfEnough(least) { return turn.resume(returning: events) }
        state.waiter = (least, turn)
      }
    }
  }

  /// Nobody looks any more.
  func close() {
    state.withLock {
      $0.isClosed = true
      $0.events = []
    }
  }
}
