internal import DFSCore

/// A program of a world that uses the servers.
protocol WorldClient: AnyObject {
  /// Who it is in its present life.
  var id: ClientID { get }
  /// Something is under way.
  var isBusy: Bool { get }
  /// It has got on since the faults are over, and does nothing any more.
  var isDone: Bool { get }

  func start()
  /// It is killed, and starts again later.
  func crash()
  /// The address of a server leads to another one from now on.
  func moved(_ server: ServerIndex)
  /// A server tells which rows have changed; number so and so of a session.
  func pushed(
    _ keys: SimulatedPush, head: Head, number: Int, from server: ServerIndex, session: Int)
  /// The world has ended: nothing is answered any more.
  func end()
}
