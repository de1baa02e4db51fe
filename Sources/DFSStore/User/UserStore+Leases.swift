public import DFSCore
internal import DFSReplication
internal import Logging

/// Read leases of this user's namespace.
///
/// A server that starts does not know what holders of leases have read from the process before it; `LeaseList` says whom
/// it waits for.
extension UserStore {
  /// Grants a connection a lease, or renews it.
  /// - Parameter completion: called once, perhaps on a thread of the store; then `lookAtLease` is to be called.
  public func grantLease(
    _ session: UInt64, to client: ClientID,
    _ completion: @escaping @Sendable (Result<Void, any Error>) -> Void
  ) {
    let publisher = writer.publisher
    if leaseList.isNoted(client) {
      publisher.grant(session, to: client)
      return completion(.success(()))
    }
    let list = leaseList
    queues.bulk.submit {
      do {
        try list.note(client) { publisher.leaseClients }
        publisher.grant(session, to: client)
        completion(.success(()))
      } catch {
        completion(.failure(error))
      }
    }
  }

  /// A message of a connection with a lease has come.
  public func heardLease(_ session: UInt64) { writer.publisher.heard(session) }

  /// A connection with a lease has dropped what the changes up to `number` changed.
  public func sawChanges(_ session: UInt64, through number: UInt64) {
    writer.publisher.saw(session, through: number)
  }

  /// A connection gives its lease up.
  public func endLease(_ session: UInt64) { writer.publisher.end(session) }

  /// The push of the changes up to `number` was written on a connection with a lease.
  public func toldChanges(_ session: UInt64, through number: UInt64) {
    writer.publisher.told(session, through: number)
  }

  /// A connection with a lease has ended.
  public func disconnected(_ session: UInt64) { writer.publisher.disconnected(session) }

  /// Ends what is over for the lease of a connection.
  /// - Returns: when to look again; nil: at its next push, or the end of the connection.
  public func lookAtLease(_ session: UInt64) -> ContinuousClock.Instant? {
    writer.publisher.look(session)
  }

  /// The head up to which changes were announced that no answer shows yet; nil if there are none.
  public var unshownHead: Head? { writer.publisher.unshown }

  /// A client has connected anew, and so has dropped what it knew.
  public func returned(_ client: ClientID) { leaseList.returned(client) }

  /// Waits until no lease of an earlier process can be trusted any more.
  func awaitEndOfLeases() async throws {
    let list = leaseList
    guard try await queues.query.run({ try list.begin() }) else { return }
    let end = begun + LeaseTerm.standard.granted
    if list.isAwaiting { logger.info("waiting for clients with read leases of an earlier process") }
    while list.isAwaiting, ContinuousClock.now < end {
      try await Task.sleep(for: Self.lookForClients)
    }
    try await queues.query.run { try list.clear() }
  }

  /// No lease is left: the next process need not wait.
  func forgetLeases() async throws {
    guard writer.publisher.leaseClients.isEmpty else { return }
    let list = leaseList
    try await queues.query.run { try list.clear() }
  }

  /// How often it is looked whether all have come back.
  private static let lookForClients = Duration.milliseconds(10)
}
