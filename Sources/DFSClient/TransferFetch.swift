internal import DFSCore

/// Fetches blocks of one part from one of its holders, verified; performs a `FetchPlan`.
struct PartFetch: Sendable {
  let transfer: Transfer
  let version: Version
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
    return try await withTaskGroup(of: Event.self) { group -> Result<[[UInt8]], DFSError> in
      defer { group.cancelAll() }
      var waitingFor: Set<ServerIndex> = []
      var step = plan.begin()
      wait(.milliseconds(transfer.configuration.hedgeMilliseconds), for: .overdue, in: &group)
      wait(transfer.callTimeout, for: .tooLate, in: &group)
      while true {
        switch step {
        case .ask(let server):
          waitingFor.insert(server)
          group.addTask { await ask(server) }
        case .wait: break
        case .fail(let error): return .failure(error)
        }
        switch await group.next() {
        case .answered(let server, let found):
          transfer.watch.answered(server)
          return .success(found)
        case .failed(let server, let error):
          waitingFor.remove(server)
          step = plan.failed(server, error)
        case .overdue:
          for server in waitingFor { transfer.watch.overtaken(server) }
          step = plan.overdue()
        case .tooLate, nil: return .failure(tooLate(waitingFor))
        }
      }
    }.get()
  }

  private func wait(_ time: Duration, for event: Event, in group: inout TaskGroup<Event>) {
    group.addTask {
      try? await Task.sleep(for: time)
      return event
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
      id: copy.id, candidates: ordered(reachable) + others,
      absent: absent.map { ($0.server, $0.problem) })
  }

  /// The best first: not slow just now, with little to do, and each part from another server.
  private func ordered(_ servers: ServerSet) -> [ServerIndex] {
    let preferred = servers.preferred
    func cost(_ server: ServerIndex) -> Int {
      let queue = transfer.cluster.load(of: server) / (4 * Limits.chunkBytes)
      return (transfer.watch.isSlow(server) ? 1_000_000 : 0) + 2 * queue
        + (server == preferred ? 0 : 1)
    }
    return servers.servers.map { ($0, cost($0)) }.sorted { $0.1 < $1.1 }.map(\.0)
  }

  private func tooLate(_ servers: Set<ServerIndex>) -> DFSError {
    DFSError(
      .timedOut,
      "part \(part) of version \(version.id) did not come from \(ServerSet(servers)) within "
        + "\(transfer.configuration.callTimeoutSeconds) s")
  }

  private func ask(_ server: ServerIndex) async -> Event {
    do throws(DFSError) {
      return .answered(server, try await copy.fetch(from: server).blocks)
    } catch {
      return .failed(server, error)
    }
  }
}
