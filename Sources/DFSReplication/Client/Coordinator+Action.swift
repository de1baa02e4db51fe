public import DFSCore

/// What the coordinator asks of its driver, and what it tells.
extension Coordinator {
  /// What the driver has to do, or is told; the actions of one event come in order.
  public enum Action: Hashable, Sendable {
    /// Send the request; what comes of it goes to `receive` or `undelivered`, with `token`.
    case send(ServerIndex, NamespaceRequest, token: UInt64)
    /// Bring `server` the rows of `source`, up to the head of this client's view or a later one, and
    /// have it install the view, or a later one that this client leads by then; report the end with
    /// `refilled`. One that is under way for `server` goes on.
    case transfer(ServerIndex, source: ServerIndex, View)
    /// Three servers are in this client's view; changes may be appended. What became of a change
    /// whose outcome was open is told, if there was one.
    case viewTaken(Head, open: Outcome?)
    /// The change is on at least three servers.
    case committed(Head, accepted: ServerSet)
    /// The view was lost (or not got): another client has a later one. Take a view again after a
    /// random pause.
    case superseded
    /// Too few servers can take part, for this reason.
    case stuck(Obstacle)
  }

  /// What became of a change whose view was lost before it was acknowledged.
  public enum Outcome: Hashable, Sendable {
    case committed
    case dropped
    /// So many changes came after it that the logs do not tell any more.
    case unknown
  }

  /// Why no view can be taken, or a change not be committed, and which servers are in the way.
  public enum Obstacle: Hashable, Sendable {
    /// Fewer than three servers answered.
    case silent(ServerSet)
    /// So few servers know the namespace that the truth cannot be told from a loss.
    case blank(ServerSet)
    /// All four servers are needed, once, to give the namespace its identity; these do not answer.
    case unnamed(ServerSet)
    /// The rows of these servers are of another namespace, and without them there are too few.
    case foreign(ServerSet)
    /// The word of this server alone would drop most of what others have (`refuseTruth`).
    case loss(ServerIndex)
    /// These servers tell of views or changes that no honest server can have, and without them there are too
    /// few.
    case absurd(ServerSet)
    /// These servers do not have the parts that the change names.
    case missingParts(ServerSet)
  }

  /// How far a view is: none, promises asked for, being installed, or led.
  public enum Phase: Hashable, Sendable { case idle, preparing, installing, leading }
}
