internal import DFSCore
internal import NIOCore
internal import Synchronization

/// Calls back after a time that is always the same: so what began first is due first, and one timer is
/// enough for all. What was to be called back is cheap to begin, and is not taken back.
final class DelayQueue: Sendable {
  private struct State {
    var waiting = CircularBuffer<(due: NIODeadline, body: @Sendable () -> Void)>()
    var isArmed = false
  }

  let time: Duration
  let loop: any EventLoop
  private let state = Mutex(State())

  init(_ time: Duration, on loop: any EventLoop) {
    self.time = time
    self.loop = loop
  }

  /// - Parameter body: called on `loop`; must be quick.
  func callBack(_ body: @escaping @Sendable () -> Void) {
    let due = loop.now + TimeAmount(time)
    let isFirst = state.withLock { state in
      state.waiting.append((due, body))
      defer { state.isArmed = true }
      return !state.isArmed
    }
    if isFirst { arm(due) }
  }

  private func arm(_ due: NIODeadline) {
    loop.scheduleTask(deadline: due) { self.fire() }
  }

  private func fire() {
    let now = loop.now
    let (ready, next) = state.withLock { state in
      var ready: [@Sendable () -> Void] = []
      while let first = state.waiting.first, first.due <= now {
        ready.append(first.body)
        state.waiting.removeFirst()
      }
      state.isArmed = !state.waiting.isEmpty
      return (ready, state.waiting.first?.due)
    }
    for body in ready { body() }
    if let next { arm(next) }
  }
}
