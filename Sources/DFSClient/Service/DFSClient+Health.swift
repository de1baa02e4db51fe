public import DFSCore
internal import DFSSystem
internal import DFSWire
internal import Logging
internal import Synchronization

/// The health of the user's copies: told, repaired on demand, and repaired in the background.
extension DFSClient {
  private static let healthTimeout = Duration.seconds(10)

  public func heal(
    _ progress: @escaping @Sendable (HealReport) -> Void
  ) async throws -> HealReport {
    let report = try await healer.pass(progress)
    try? await settler.settleOverdue()
    return report
  }

  public func settle(
    _ id: InodeID, _ progress: @escaping @Sendable (UInt64) -> Void
  ) async throws -> Settling {
    try await settler.settle(id, at: nil, progress)
  }

  public func unsettled(after name: FileName?) async throws -> (inodes: [Inode], next: FileName?) {
    try await settler.unsettled(after: name)
  }

  public func acceptLoss() async { await namespace.driver.acceptLoss() }

  /// Copies that one server is asked for at most; where it lacks more, the rest is only counted.
  private static let missingLimit = 20_000

  public func health() async -> ClusterHealth {
    let reports = await ask(Request.Health())
    var health = ClusterHealth(reports: reports)
    health.unsettled = (try? await unsettledFiles()) ?? .init()
    for (server, report) in reports where report.missing > 0 {
      let missing = await missing(of: server)
      health.missing[server] = missing
      if UInt64(missing.count) < report.missing { health.isPartial = true }
    }
    return health
  }

  private func unsettledFiles() async throws -> ClusterHealth.Unsettled {
    var unsettled = ClusterHealth.Unsettled()
    var after: FileName?
    repeat {
      let page = try await settler.unsettled(after: after)
      for version in page.inodes.compactMap(\.version) { unsettled.add(version) }
      after = page.next
    } while after != nil
    return unsettled
  }

  private func missing(of server: ServerIndex) async -> [MissingCopy] {
    var copies: [MissingCopy] = []
    while copies.count < Self.missingLimit {
      let request = Request.Missing(after: copies.last?.id, limit: Wire.listItems, claims: false)
      guard let page = try? await cluster.ask(server, request, timeout: Self.healthTimeout),
        !page.copies.isEmpty
      else { break }
      copies += page.copies
    }
    return copies
  }

  public func scrub() async -> ServerSet {
    ServerSet(await ask(Request.Scrub()).keys)
  }

  /// The answers of the servers that can be reached and give one.
  private func ask<Message: RequestMessage>(
    _ message: Message
  ) async -> [ServerIndex: Message.Answer] {
    await withTaskGroup(of: (ServerIndex, Message.Answer?).self) { group in
      for server in cluster.reachable.servers {
        group.addTask { [cluster] in
          (server, try? await cluster.ask(server, message, timeout: Self.healthTimeout))
        }
      }
      return await group.reduce(into: [:]) { $0[$1.0] = $1.1 }
    }
  }

  /// Heals from now on, in the background: now and then, and soon after a server came back or a bad
  /// copy was met.
  public func healInBackground() {
    transfer.watch.observe { [healing] in healing.wake() }
    healing.start { [healer, settler, logger = cluster.logger] in
      do {
        let report = try await healer.pass { _ in }
        if report.copies > 0 || report.placementsRecorded > 0 {
          logger.notice(
            "healed",
            metadata: [
              "copies": "\(report.copies)", "bytes": "\(report.bytes)",
              "recorded": "\(report.placementsRecorded)", "left": "\(report.copiesLeft)",
            ])
        }
        try await settler.settleOverdue()
      } catch {
        logger.debug("healing was interrupted", metadata: ["cause": "\(error)"])
      }
    }
  }
}

/// The task that heals in the background: a pass each time it is woken, and one a minute.
final class HealingTask: Sendable {
  private static let interval = Duration.seconds(60)
  /// Some time for a server that came back to be asked by everybody else first.
  private static let delay = Duration.seconds(1)

  private struct State {
    var task: Task<Void, Never>?
    var isWoken = false
    var sleeper: CheckedContinuation<Void, Never>?
  }

  private let environment: any Environment
  private let state = Mutex(State())

  init(_ environment: any Environment) { self.environment = environment }

  func start(_ pass: @escaping @Sendable () async -> Void) {
    state.withLock { state in
      guard state.task == nil else { return }
      state.isWoken = true
      state.task = Task {
        while !Task.isCancelled {
          await self.sleep()
          try? await self.environment.sleep(for: Self.delay)
          if Task.isCancelled { return }
          await pass()
        }
      }
    }
  }

  func wake() {
    let sleeper = state.withLock { state in
      defer { state.sleeper = nil }
      state.isWoken = state.sleeper == nil
      return state.sleeper
    }
    sleeper?.resume()
  }

  func stop() async {
    let task = state.withLock { $0.task }
    task?.cancel()
    wake()
    await task?.value
  }

  private func sleep() async {
    let alarm = Task {
      try await environment.sleep(for: Self.interval)
      self.wake()
    }
    defer { alarm.cancel() }
    await withCheckedContinuation { sleeper in
      let isAwake = state.withLock { state in
        defer { state.isWoken = false }
        if !state.isWoken { state.sleeper = sleeper }
        return state.isWoken
      }
      if isAwake { sleeper.resume() }
    }
  }
}
