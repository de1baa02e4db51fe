package import DFSCore
package import DFSReplication
internal import DFSSystem
internal import DFSWire
package import Logging
internal import Synchronization

/// One user's namespace over the four servers, as this client sees and changes it.
///
/// Reads are in Namespace+Reads.swift, changing in Namespace+Changing.swift. A change is a transaction: rows are
/// read as they are at the head of this client's view, the change is computed from them and appended; it is
/// accepted only if nobody else appended anything. Otherwise the view is taken again and the transaction
/// runs again.
///
/// Invariants:
/// - One change at a time, in the order of calls; those that wait become one.
/// - A transaction's error is reported only if it is right about a state that was current after the
///   call began.
/// - A transaction that returned is committed, one that threw anything but `timedOut` did not happen.
package final class Namespace: Sendable {
  package struct Settings: Sendable {
    package var policy = WritePolicy.all
    package var callTimeout = Duration.seconds(30)
    package var hedge = Duration.milliseconds(500)
    /// Nil: no read leases are asked for.
    package var leases: LeaseTerm?

    package init() {}
  }

  let servers: ServerPool
  let environment: any Environment
  let cache: RowCache
  let settings: Settings
  let driver: CoordinatorDriver
  let pings: FreshnessCheck
  let attributesAhead = Mutex(AttributesAhead())
  let directoriesAhead = Mutex(DirectoriesAhead())
  private let logger: Logger
  let turn = AsyncLock()
  let queue = ChangeQueue()
  let pace: ContentionBackoff
  /// Brings servers what a change that was taken up from others came without.
  private let completion = Mutex<(@Sendable () async -> Void)?>(nil)
  /// Sees to it that all servers are of one cluster.
  private let joining = Mutex<(@Sendable () async -> Void)?>(nil)

  package init(
    client: ClientID, requests: any ServerRequests, cache: RowCache, settings: Settings,
    proposing namespace: NamespaceID = .random(), logger: Logger
  ) {
    self.cache = cache
    self.settings = settings
    self.logger = logger
    servers = ServerPool(requests: requests, cache: cache, leases: settings.leases)
    environment = servers.environment
    pace = ContentionBackoff(environment)
    driver = CoordinatorDriver(
      client: client, proposing: namespace, servers: servers, logger: logger)
    pings = FreshnessCheck(servers: servers)
  }

  /// Sets what completes small copies after a view was taken.
  func complete(with completion: @escaping @Sendable () async -> Void) {
    self.completion.withLock { $0 = completion }
  }

  /// Sets what is done once a view was taken, so that servers that share a namespace are of one cluster.
  func join(with joining: @escaping @Sendable () async -> Void) {
    self.joining.withLock { $0 = joining }
  }

  var deadline: ContinuousClock.Instant { environment.now + settings.callTimeout }

  /// A server is connected (again).
  package func returned(_ server: ServerIndex) async {
    // Its head, and that all its pushes from now on are known to arrive.
    _ = try? await servers.ping(server)
    await driver.returned(server)
  }

  /// Waits for the change that is under way, at most as long as a call may take; none comes after.
  package func finish() async {
    try? await turn.take(until: deadline, in: environment)
    await driver.catchUpIsOver(within: CoordinatorDriver.catchUpPatience)
    await driver.abandon()
    await servers.leases?.end()
  }

  /// How long a change waits for servers that were just lost.
  private var patience: Duration { ServerState.patience(within: settings.callTimeout) }

  // MARK: Changing

  /// Performs one atomic change, of rows only.
  /// - Parameters:
  ///   - policy: how many servers must answer before anything is tried; by default as configured.
  ///   - body: computes the change; may run several times.
  /// - Throws: what `body` throws; `serversMissing` if too few servers answer; `timedOut` if it is not
  ///   known whether the change happened.
  func transact<Value: Sendable>(
    policy: WritePolicy? = nil,
    _ body: @escaping @Sendable (inout Transaction) async throws -> Value
  ) async throws -> Value {
    try await transact(ChangeParts(), policy: policy ?? settings.policy, body).value
  }

  /// Performs one atomic change with which copies travel. Changes that wait meanwhile become one.
  /// - Parameter known: the servers that answered the same call before (`require`).
  /// - Returns: what `body` returned, and the servers that have the copies.
  package func transact<Value: Sendable>(
    _ parts: ChangeParts, policy: WritePolicy, known: ServerSet = [],
    _ body: @escaping @Sendable (inout Transaction) async throws -> Value
  ) async throws -> (value: Value, stored: ServerSet) {
    let deadline = deadline
    _ = try await require(policy, known: known)
    let result = Mutex<Value?>(nil)
    let change = QueuedChange(parts) { transaction in
      let value = try await body(&transaction)
      result.withLock { $0 = value }
    }
    let stored = try await perform(change, until: deadline)
    guard let value = result.withLock({ $0 }) else {
      preconditionFailure("a change that was performed was computed")
    }
    return (value, stored)
  }

  /// Requires the servers that a write needs, once for all that one call does.
  /// - Parameter known: what this returned for the same call before.
  /// - Throws: `serversMissing` if too few servers answer for a change under `policy`; what a server
  ///   said that refuses changes, where all are needed.
  /// - Returns: the servers that answer.
  func require(_ policy: WritePolicy, known: ServerSet = []) async throws -> ServerSet {
    let asksAll = policy == .all && driver.stance.hasRefusals
    if asksAll, await driver.refusing != nil { await driver.tryLagging() }
    if asksAll, let (server, error) = await driver.refusing {
      throw DFSError(
        error.code,
        "\(server) refuses changes, and all four servers are needed to write (writes = all): "
          + error.message)
    }
    return try await servers.require(policy, patience: patience, known: known)
  }

  /// Takes a view, which finishes or drops what another client left half done.
  func agree(until deadline: ContinuousClock.Instant) async throws {
    try await turn.take(until: deadline, in: environment)
    defer { turn.give() }
    await driver.abandon()
    var pause = pace.pause
    _ = try await lead(until: deadline, &pause)
  }

  /// Whether the caller is cancelled or not: what comes next relies on it.
  private func complete() async {
    await Task { [self] in
      await driver.catchUpIsOver(within: CoordinatorDriver.catchUpPatience)
      await completion.withLock { $0 }?()
    }.value
  }

  /// The head of a view of this client's, taken if there is none.
  func lead(
    until deadline: ContinuousClock.Instant, _ pause: inout Pause
  ) async throws -> Head {
    let patient = environment.now + patience
    while true {
      let stance = driver.stance
      if stance.isSound, let head = stance.leading, !cache.hasHeard(laterThan: head.view) {
        return head
      }
      let began = environment.now
      switch await driver.takeView(until: deadline) {
      case .leading, .committed:
        pace.viewTaken(in: environment.now - began)
        // Before the next change, which says that what came before is on three servers.
        if driver.stance.hasBroughtChanges { await complete() }
        await joining.withLock { $0 }?()
      case .superseded: try await pause.wait(until: deadline)
      case .stuck(let obstacle):
        guard case .silent = obstacle,
          servers.reachable.count >= Limits.quorum
            || environment.now < patient && servers.someMayReturn,
          (try? await pace.briefly(until: deadline)) != nil
        else {
          if case .loss = obstacle, let loss = await driver.loss { throw loss }
          throw error(obstacle)
        }
      case .outOfTime:
        throw DFSError(
          .timedOut,
          "no three servers agreed within \(settings.callTimeout); nothing was changed")
      }
    }
  }

  /// Appends, and finds out what became of it.
  /// - Returns: whether it is committed; if not, it never will be.
  func commit(
    _ writes: [RowWrite], _ parts: ChangeParts, until deadline: ContinuousClock.Instant,
    _ pause: inout Pause
  ) async throws -> Bool {
    // Copies that travel with the change reach a server only if it is in the view.
    if !parts.inline.isEmpty {
      await driver.catchUpIsOver(within: CoordinatorDriver.catchUpPatience)
    }
    CrashPoint.reached(.changeComputed)
    var end = await driver.append(writes, parts, until: deadline)
    var rejection: DFSError?
    while true {
      switch end {
      case .committed(let head, let accepted):
        if accepted != .all { logger.debug("change \(head.number) is on \(accepted) so far") }
        return true
      case .leading(open: .committed):
        // Others may have taken it up without the copies that travelled with it. Where the view brought
        // changes, that is done.
        if !parts.inline.isEmpty, !driver.stance.hasBroughtChanges { await complete() }
        return true
      case .leading(open: .unknown):
        await driver.forget()
        throw outcomeUnknown(nil)
      case .leading:
        if let refusal = await driver.refusal ?? rejection { throw refusal }
        return false
      case .superseded, .stuck:
        if case .stuck(let obstacle) = end, case .missingParts = obstacle {
          rejection = error(obstacle)
        }
        do {
          try await pause.wait(until: deadline)
        } catch {
          await driver.forget()
          throw outcomeUnknown(await driver.refusal ?? rejection)
        }
        end = await driver.takeView(until: deadline)
        if case .leading = end, driver.stance.hasBroughtChanges { await complete() }
      case .outOfTime:
        await driver.forget()
        throw outcomeUnknown(await driver.refusal)
      }
    }
  }

  /// Whether nobody has changed anything since `head`, which was committed in this client's view:
  /// another view would have been installed on three servers, of which one at most was restored from
  /// a backup since, so on one of any three.
  func isCurrent(_ head: Head) async throws -> Bool {
    await pings.heads(until: { heads in
      heads.values.count { $0.view == head.view && $0.number <= head.number } >= Limits.quorum
    })
  }

  // MARK: Errors

  private func error(_ obstacle: Coordinator.Obstacle) -> DFSError {
    switch obstacle {
    case .silent(let missing):
      servers.missing(
        answering: servers.reachable.subtracting(missing), "three servers are needed to write")
    case .blank(let blank):
      DFSError(
        .serversMissing,
        "\(blank) \(blank.count == 1 ? "is" : "are") blank, and without the others it cannot be told "
          + "what was lost; start the servers that are missing")
    case .unnamed(let missing):
      servers.missing(
        answering: servers.reachable.subtracting(missing),
        "the files are of a release before 1.1: all four servers are needed once, to take them over"
      )
    case .foreign(let foreign):
      DFSError(
        .configuration,
        "\(foreign) \(foreign.count == 1 ? "has" : "have") other files of this user than the others: a "
          + "Server line names a server of another cluster, or a directory was restored from one; nothing "
          + "was changed; correct the Server line, or move the user's directory there away: it is refilled"
      )
    case .loss(let server):
      DFSError(.damaged, "\(server) alone says that most of what the others have is gone")
    case .absurd(let absurd):
      DFSError(
        .serversMissing,
        "\(absurd) \(absurd.count == 1 ? "tells" : "tell") of views or changes that no client can have made, and "
          + "without \(absurd.count == 1 ? "it" : "them") there are too few servers: start the others; 'dfs repair' "
          + "looks at a server's directory")
    case .missingParts(let servers):
      DFSError(.inputOutput, "\(servers) lack parts that were uploaded; nothing was changed")
    }
  }

  private func outcomeUnknown(_ cause: DFSError?) -> DFSError {
    DFSError(
      .timedOut,
      "the outcome is not known: three servers did not answer within \(settings.callTimeout); "
        + "the change may or may not have happened", cause: cause)
  }
}

extension Task where Success == Never, Failure == Never {
  static func checkNotCancelled() throws(DFSError) {
    if isCancelled { throw DFSError(.cancelled, "cancelled before anything was changed") }
  }
}
