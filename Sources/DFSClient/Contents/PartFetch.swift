internal import DFSConfiguration
internal import DFSCore
internal import DFSSystem
internal import NIOCore

/// Fetches blocks of one part from one of its holders, verified; performs a `FetchPlan`.
struct PartFetch: Sendable {
  let transfer: Transfer
  let version: Content
  let part: PartIndex
  /// At most `Limits.chunkBytes` in all.
  let blocks: Range<Int>

  private enum Event: Sendable {
    case answered(ServerIndex, [[UInt8]])
    case failed(ServerIndex, DFSError)
    case overdue
    case tooLate
  }

  private var copy: CopyFetch {
    CopyFetch(transfer: transfer, version: version, part: part, blocks: blocks)
  }

  func run() async throws(DFSError) -> [[UInt8]] {
    var plan = makePlan()
    let mailbox = Mailbox<Event>()
    var asked: [ServerIndex: Task<Void, Never>] = [:]
    defer {
      mailbox.close()
      for task in asked.values { task.cancel() }
    }
    func perform(_ step: FetchPlan.Step) throws(DFSError) {
      switch step {
      case .ask(let server): asked[server] = ask(server, mailbox)
      case .wait: break
      case .fail(let error): throw error
      }
    }
    beginWaiting(mailbox)
    try perform(plan.begin())
    while true {
      for event in await mailbox.take() {
        switch event {
        case .answered(let server, let found):
          asked[server] = nil
          transfer.watch.answered(server)
          return found
        case .failed(let server, let error):
          asked[server] = nil
          try perform(plan.failed(server, error))
        case .overdue:
          for server in asked.keys { transfer.watch.overtaken(server) }
          try perform(plan.overdue())
        case .tooLate: throw tooLate(asked.keys)
        }
      }
    }
  }

  private func beginWaiting(_ mailbox: Mailbox<Event>) {
    let hedge = transfer.hedge
    let rest = transfer.callTimeout - hedge.time
    hedge.callBack {
      guard mailbox.put(.overdue) else { return }
      hedge.loop.scheduleTask(in: TimeAmount(rest)) { mailbox.put(.tooLate) }
    }
  }

  private func makePlan() -> FetchPlan {
    let cluster = transfer.cluster
    let holders = version.placement.holders(of: part)
    let reachable = holders.intersection(cluster.reachable)
    let absent = cluster.states().filter {
      holders.contains($0.server) && !reachable.contains($0.server)
    }
    // Other servers may still have a small copy that came with the change.
    let others = version.split.isInline ? cluster.reachable.subtracting(holders).servers : []
    return FetchPlan(
      id: copy.id, candidates: transfer.bestFirst(reachable) + others,
      absent: absent.map { ($0.server, $0.problem) })
  }

  private func tooLate(_ servers: some Sequence<ServerIndex>) -> DFSError {
    DFSError(
      .timedOut,
      "part \(part) of version \(version.id) did not come from \(ServerSet(servers)) within "
        + "\(transfer.configuration.callTimeoutSeconds) s")
  }

  private func ask(_ server: ServerIndex, _ mailbox: Mailbox<Event>) -> Task<Void, Never> {
    Task.begun { mailbox.put(await answer(of: server)) }
  }

  private func answer(of server: ServerIndex) async -> Event {
    do throws(DFSError) {
      return .answered(server, try await copy.fetch(from: server).blocks)
    } catch {
      return .failed(server, error)
    }
  }
}
