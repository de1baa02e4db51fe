public import DFSCore
public import DFSReplication
internal import DFSSystem
internal import Glibc
internal import Logging
internal import Synchronization

/// Read leases of this user's namespace.
///
/// Invariant: `leases` in the user's directory is on stable storage before the first lease is granted, and stays until
/// none is left of any process: a server that finds it when it starts does not know who read from it, and answers
/// nobody for `LeaseTerm.granted`.
extension UserStore {
  static let leasesFile = "leases"
  private var leasesPath: String { "\(copies.directory)/\(Self.leasesFile)" }

  /// Grants a connection a lease, or renews it.
  /// - Parameters:
  ///   - granted: called when it is granted, perhaps on a thread of the store; then `dueOfLease` is to be asked.
  ///   - completion: called once, perhaps on a thread of the store, when all is shown that was changed before and that
  ///     the connection was told of.
  public func grantLease(
    _ session: UInt64, to client: ClientID, granted: @escaping @Sendable () -> Void,
    _ completion: @escaping @Sendable (Result<Void, any Error>) -> Void
  ) {
    let publisher = writer.publisher
    if leasesAreNoted.load(ordering: .acquiring) {
      publisher.grant(session, to: client, completion)
      return granted()
    }
    let (path, directory, noted) = (leasesPath, copies.directory, self)
    queues.bulk.submit {
      do {
        let file = try File(path, flags: O_RDWR | O_CREAT)
        try file.sync()
        try Disk.syncDirectory(directory)
        noted.leasesAreNoted.store(true, ordering: .releasing)
        publisher.grant(session, to: client, completion)
        granted()
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

  /// What is due for the lease of a connection.
  public func dueOfLease(_ session: UInt64) -> GrantedLeases<ContinuousClock.Instant>.Due {
    writer.publisher.due(session)
  }

  /// The head up to which changes were announced that no answer shows yet; nil if there are none.
  public var unshownHead: Head? { writer.publisher.unshown }

  /// Waits until no lease of an earlier process can be trusted any more.
  func awaitEndOfLeases() async throws {
    let path = leasesPath
    guard try await queues.query.run({ Disk.exists(path) }) else { return }
    logger.info("an earlier process had granted read leases; waiting for their end")
    try await Task.sleep(until: begun + LeaseTerm.standard.granted, clock: .continuous)
    try await queues.query.run { try Disk.remove(path) }
  }

  /// No lease is left: the next process need not wait.
  func forgetLeases() async throws {
    guard leasesAreNoted.load(ordering: .acquiring), !writer.publisher.hasLeases else { return }
    let path = leasesPath
    try await queues.query.run { try Disk.remove(path) }
  }
}
