internal import Synchronization

/// Whether the kernel keeps names without asking.
///
/// A kernel that is made to ask again for all names takes each out of its directory until it has asked. In that moment
/// getcwd(2) of a process in such a directory says ENOENT. So while other clients change names the kernel keeps none: it
/// asks each time, which takes nothing out, and there is nothing to expire.
final class KeptNames: Sendable {
  private struct State {
    var areKept = true
    /// When another client changed names last.
    var changed: ContinuousClock.Instant?
  }

  private let state = Mutex(State())
  /// For so long after such a change more are expected.
  private let unrest: Duration

  init(unrest: Duration) { self.unrest = unrest }

  /// Another client has changed names; before what is kept is expired.
  func changed() { state.withLock { $0.changed = .now } }

  /// A name is about to be told.
  /// - Returns: whether it may be kept.
  func mayBeKept() -> Bool {
    state.withLock { state in
      if let changed = state.changed, .now < changed + unrest { return false }
      state.changed = nil
      state.areKept = true
      return true
    }
  }

  /// - Returns: whether there was something to expire.
  func expire() -> Bool {
    state.withLock { state in
      defer { state.areKept = false }
      return state.areKept
    }
  }
}
