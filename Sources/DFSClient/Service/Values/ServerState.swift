public import DFSConfiguration
public import DFSCore

/// Whether one server can be used at the moment, and why not.
public struct ServerState: Hashable, Sendable {
  /// Which of the four it is.
  public let server: ServerIndex
  /// Where the configuration says that it is.
  public let address: ServerAddress
  /// Connected, logged in and answering, and of the same cluster and namespace as the others.
  public let isUp: Bool
  /// Why it is not up, for people.
  public let problem: DFSError?
  /// It is not up and was up a moment ago: it may be starting again, or the net may come back.
  public let mayReturn: Bool

  /// The state of `server`; `problem` says why it is not up, if it is not.
  public init(
    server: ServerIndex, address: ServerAddress, isUp: Bool, problem: DFSError?,
    mayReturn: Bool = false
  ) {
    self.server = server
    self.address = address
    self.isUp = isUp
    self.problem = problem
    self.mayReturn = mayReturn
  }

  /// How long a server that was lost is waited for by a call that may take `callTimeout`.
  public static func patience(within callTimeout: Duration) -> Duration {
    min(.seconds(5), callTimeout / 6)
  }
}
