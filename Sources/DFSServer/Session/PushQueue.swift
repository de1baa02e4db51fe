internal import DFSCore
internal import DFSWire
internal import Synchronization

/// The changes that one connection is still to be told of. Filled by the user's writer, in the
/// order of the changes; emptied on the connection's event loop, before any answer whose head has
/// them.
///
/// Invariant: it holds at most `Limits.changeWrites` keys; more become "everything changed", so a
/// client that does not read costs no more than that.
final class PushQueue: Sendable {
  private struct State {
    var keys: [RowKey] = []
    var isEverything = false
    /// The head up to which the client will have been told; nil: nothing to tell.
    var head: Head?
    /// The last change that it has.
    var number: UInt64 = 0
    var isWoken = false
  }

  private let state = Mutex(State())
  private let wake: @Sendable () -> Void

  /// - Parameter wake: called when there is something new to take, once until it is taken.
  init(wake: @escaping @Sendable () -> Void) { self.wake = wake }

  /// - Parameters:
  ///   - keys: nil: anything may have changed.
  ///   - number: of the change.
  func add(_ keys: [RowKey]?, head: Head, number: UInt64) {
    let mustWake = state.withLock { state in
      state.head = head
      state.number = max(state.number, number)
      if let keys, !state.isEverything, state.keys.count + keys.count <= Limits.changeWrites {
        state.keys += keys
      } else {
        state.isEverything = true
        state.keys = []
      }
      defer { state.isWoken = true }
      return !state.isWoken
    }
    if mustWake { wake() }
  }

  /// What is to be pushed now, as one message, and the last change that it tells; nil if nothing.
  func take() -> (push: Push, number: UInt64)? {
    state.withLock { state in
      guard let head = state.head else { return nil }
      defer { state = State() }
      let push: Push =
        state.isEverything
        ? .everythingChanged(Push.EverythingChanged(head: head))
        : .changed(Push.Changed(state.keys, head: head))
      return (push, state.number)
    }
  }
}
