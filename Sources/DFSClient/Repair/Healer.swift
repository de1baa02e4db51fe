internal import DFSCore
internal import DFSReplication
internal import DFSSystem
internal import DFSWire
internal import Logging
internal import Synchronization

/// Brings a user's namespace and copies back to what they should be, in passes: servers that lag are
/// caught up; each server is brought the copies that it says it lacks; copies that substituted for
/// a server that was away are rebalanced.
///
/// What there is to do is known by the servers, so a pass costs what was missed, not what the user
/// has; and nothing is lost if a healer dies: the next one goes on.
///
/// Invariants:
/// - One pass at a time in this process; several processes may heal at once (copies are claimed).
/// - Nothing is removed by a healer: it only adds copies, and says in a row where they are.
actor Healer {
  /// Copies that are claimed, and brought, at once.
  private static let batch = 16
  private static let requestTimeout = Duration.seconds(10)
  /// Copies that a pass sees to for one server at most, and answers in a row that name none but those: a
  /// server that always lacks the same would keep the pass from the others for ever.
  private static let limits: (copies: Int, vain: Int) = (200_000, 64)
  /// A server may be refilled for so long within one pass.
  private static let transferPatience = Duration.seconds(600)

  private let namespace: Namespace
  private let transfer: Transfer
  private let mover: CopyMover
  private let logger: Logger
  private let turn = AsyncLock()

  init(_ namespace: Namespace, _ transfer: Transfer, bytesPerSecond: Int?, logger: Logger) {
    self.namespace = namespace
    self.transfer = transfer
    self.logger = logger
    mover = CopyMover(
      transfer: transfer, pace: Pace(bytesPerSecond: bytesPerSecond, namespace.environment))
  }

  /// One pass.
  /// - Returns: what was done, and what blocks the rest.
  func pass(_ progress: @escaping @Sendable (HealReport) -> Void) async throws -> HealReport {
    try await turn.take()
    defer { turn.give() }
    let tally = HealTally(progress)
    let lagging = try await namespace.catchUp(within: Self.transferPatience)
    if !lagging.isEmpty {
      let refusing = await namespace.driver.refusing
      tally.blocked(
        "\(lagging) lags behind and could not be caught up yet"
          + (refusing.map { ": \($0.server): \($0.error)" } ?? ""))
    }
    try await sendHome(tally)
    let lacking = transfer.cluster.reachable.servers
    for server in lacking { await survey(server, tally) }
    for server in lacking { try await fill(server, tally) }
    let away = ServerSet.all.subtracting(transfer.cluster.reachable)
    if !away.isEmpty {
      tally.blocked(namespace.servers.missing(answering: transfer.cluster.reachable, "").message)
    }
    return tally.report
  }

  // MARK: What a server lacks

  /// Notes how much a server lacks, so that whoever watches knows how much is ahead.
  private func survey(_ server: ServerIndex, _ tally: HealTally) async {
    let health = Request.Health()
    guard
      let report = try? await namespace.servers.ask(server, health, timeout: Self.requestTimeout)
    else { return }
    tally.left(report.missing, report.missingBytes, on: server)
  }

  private func fill(_ server: ServerIndex, _ tally: HealTally) async throws {
    var seen: Set<PartID> = []
    var vain = 0
    while !Task.isCancelled {
      let claim = Request.Missing(after: nil, limit: Self.batch, claims: true)
      guard
        let missing = try? await namespace.servers.ask(
          server, claim, timeout: Self.requestTimeout)
      else { return tally.blocked("\(server) does not say which copies it lacks") }
      tally.left(missing.total, on: server)
      guard !missing.copies.isEmpty else { return }
      let new = missing.copies.filter { seen.insert($0.id).inserted }
      vain = new.isEmpty ? vain + 1 : 0
      guard vain < Self.limits.vain, seen.count < Self.limits.copies else {
        return tally.blocked(
          "\(server) lacks copies that this pass has seen to; the next one goes on")
      }
      await withTaskGroup(of: Void.self) { group in
        for copies in new.chunks(of: max(1, (new.count + 3) / 4)) {
          group.addTask { for copy in copies { await self.bring(copy, to: server, tally) } }
        }
      }
    }
  }

  private func bring(_ copy: MissingCopy, to server: ServerIndex, _ tally: HealTally) async {
    do {
      let inode = try await namespace.inode(copy.inode, .pushed)
      guard let content = inode.content, content.id == copy.id.version,
        content.placement.holders(of: copy.id.part).contains(server)
      else { return }
      tally.brought(try await mover.bring(copy.id.part, of: content, to: server), to: server)
    } catch let error as DFSError {
      guard error.code != .staleHandle else { return }
      tally.blocked("part \(copy.id.part) of inode \(copy.inode) for \(server): \(error)")
    } catch {}
  }

  // MARK: Small copies that a change came without

  /// Brings to the servers that are up the small copies that they lack, before anything is appended
  /// after a change that was taken up from one server only: it has all of them, for a while.
  func completeSmallCopies() async {
    await withTaskGroup(of: Void.self) { group in
      for server in transfer.cluster.reachable.servers {
        group.addTask { await self.completeSmallCopies(of: server) }
      }
    }
  }

  private func completeSmallCopies(of server: ServerIndex) async {
    let claim = Request.Missing(after: nil, limit: Self.batch, claims: false)
    guard
      let missing = try? await namespace.servers.ask(
        server, claim, timeout: ServerPool.pingTimeout)
    else { return }
    for copy in missing.copies {
      // Its own row says what the bytes must be.
      guard
        let rows = try? await namespace.servers.query(
          [.inode(copy.inode)], of: server, timeout: ServerPool.pingTimeout),
        let row = rows.answers.first?.rows.first,
        let content = try? Inode(id: copy.inode, row: row.value.bytes).content,
        content.id == copy.id.version, content.split.isInline
      else { continue }
      _ = try? await mover.bring(copy.id.part, of: content, to: server)
    }
  }

  // MARK: Copies that substitute for others

  private func sendHome(_ tally: HealTally) async throws {
    var after: InodeID?
    repeat {
      let page = try await namespace.substitutes(after: after)
      for inode in page.inodes {
        if Task.isCancelled { return }
        await sendHome(inode, tally)
      }
      let next = page.isPartial ? page.inodes.last?.id : nil
      if let next, let after, next <= after {
        return tally.blocked("a server tells the files with substitutes out of order")
      }
      after = next
    } while after != nil
  }

  private func sendHome(_ inode: Inode, _ tally: HealTally) async {
    guard let content = inode.content else { return }
    let placed = RowContent(
      version: content.id, placement: content.placement, home: Placement(md5: content.md5))
    var held = content.placement
    do {
      while true {
        let steps = Healing.steps(
          home: placed, held: held, reachable: transfer.cluster.reachable)
        guard !steps.isEmpty else { return }
        for step in steps {
          switch step {
          case .wait(let servers):
            return tally.blocked("\(servers) is away: copies wait to be rebalanced")
          case .record(let home): return try await record(inode.id, content, home, tally)
          case .bring(let part, let server):
            tally.brought(try await mover.bring(part, of: content, to: server), to: server)
            held = held.adding(server, to: part)
          }
        }
      }
    } catch {
      tally.blocked("the copies of inode \(inode.id) could not be rebalanced: \(error)")
    }
  }

  private func record(
    _ inode: InodeID, _ content: Content, _ home: Placement, _ tally: HealTally
  ) async throws {
    var parts = ChangeParts(durable: true)
    for (part, server) in home.copies(missingIn: content.placement) {
      parts.held[server, default: []].append(PartID(version: content.id, part: part))
    }
    CrashPoint.reached(.copiesHome)
    let isPlaced = try await namespace.transact(parts, policy: .quorum) {
      try await $0.place(inode, content, home)
    }.value
    CrashPoint.reached(.homeNoted)
    if isPlaced { tally.recorded() }
  }
}

extension Array {
  fileprivate func chunks(of count: Int) -> [ArraySlice<Element>] {
    stride(from: 0, to: self.count, by: count).map {
      self[$0..<Swift.min($0 + count, self.count)]
    }
  }
}
