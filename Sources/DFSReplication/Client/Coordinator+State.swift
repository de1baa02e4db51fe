internal import DFSCore

/// What the coordinator knows of a server, of a message under way, and of the change under way.
extension Coordinator {
  enum Peer: Hashable {
    /// Asked to promise this view; has not answered.
    case silent
    case unreachable
    /// Promised this view, at this head; nothing is under way.
    case promised(Head)
    /// Has promised a later view.
    case refused
    /// Its rows are of another namespace, or of none and with another history.
    case foreign
    /// Tells of a view, or of a number of changes, that no honest server can have.
    case absurd
    case catchingUp(CatchUp)
    /// In the view, with at least this number.
    case inView(UInt64)
  }

  /// A server that promised the view is brought to its head.
  struct CatchUp: Hashable {
    enum Step: Hashable { case log, install, transfer }
    /// The server's head when it promised.
    let from: Head
    var step: Step
    /// What was read so far of the changes after `from`.
    var changes: [Change] = []
    var pages = 0
  }

  enum Purpose: Hashable {
    case prepare
    case install
    case apply(UInt64)
    /// A log read from a source, to have another server catch up.
    case bring(ServerIndex)
    /// A log read, to learn the outcome of an open change.
    case outcome
    /// A server says that it is in the view already: its head.
    case probe
  }

  struct Pending: Hashable {
    var change: Change
    var number: UInt64
    var answers: [ServerIndex: Head] = [:]
    var rejected: ServerSet = []
  }
}
