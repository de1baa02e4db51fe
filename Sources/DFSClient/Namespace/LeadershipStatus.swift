internal import DFSCore
internal import DFSReplication
internal import DFSSystem

/// Where a CoordinatorDriver stands, for who asks without waiting for its turn.
struct LeadershipStatus: Sendable {
  /// The view and committed head, while this client may append.
  var leading: Head?
  /// Whether the view is good for another change: a server that promised a later one comes back only
  /// with a new one.
  var isSound = false
  /// Whether taking this view brought changes to servers that did not have them.
  var hasBroughtChanges = false
  /// Servers that are not at the committed head.
  var lagging: ServerSet = []
  /// Whether a server refused the last step for a reason of its own.
  var hasRefusals = false
  /// The servers that have the copies of the change that was appended last, as far as they have
  /// answered.
  var stored: ServerSet = []
}

extension CoordinatorDriver {
  /// How the taking of a view, or a change, ended.
  enum End: Sendable {
    case leading(open: Coordinator.Outcome?)
    case committed(Head, accepted: ServerSet)
    case superseded
    case stuck(Coordinator.Obstacle)
    case outOfTime
  }

  /// One who waits until no reachable server lags.
  struct CatchUpWaiter {
    let continuation: CheckedContinuation<Void, Never>
    /// Whether servers that refuse are waited for.
    let refusingToo: Bool
    let deadline: ContinuousClock.Instant
  }
}

extension NamespaceReply {
  /// What a client has come to when it gets this answer.
  var crashPoint: CrashPoint? {
    switch self {
    case .promised: .viewPromised
    case .installed: .viewInstalled
    case .applied: .changeTaken
    case .log: .logRead
    default: nil
    }
  }
}
