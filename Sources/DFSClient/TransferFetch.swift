internal import DFSCore
internal import DFSWire
internal import NIOCore

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

  private var id: PartID { PartID(version: version.id, part: part) }
  private var length: UInt64 { version.split.length(of: part) }

  /// The bytes of the part that the blocks are.
  private var range: Range<UInt64> {
    let bytes = UInt64(Limits.blockBytes)
    return UInt64(blocks.lowerBound) * bytes..<min(UInt64(blocks.upperBound) * bytes, length)
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
    return FetchPlan(
      id: id, candidates: ordered(reachable), absent: absent.map { ($0.server, $0.problem) })
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

  // MARK: One server

  private func ask(_ server: ServerIndex) async -> Event {
    do throws(DFSError) {
      let (reply, body) = try await transfer.cluster.request(
        server, .getPart(id, range: range), lane: .bulk, timeout: transfer.callTimeout)
      guard case .part(let extent) = reply else {
        throw DFSError(.protocolViolation, "\(server) gave an answer that does not fit")
      }
      return .answered(server, try verified(extent, body ?? ByteBuffer()))
    } catch {
      switch error.code {
      case .disconnected, .timedOut, .cancelled: break
      default: transfer.watch.bad(id, on: server, error)
      }
      return .failed(server, error)
    }
  }

  /// The blocks, each of which has its checksum; of a part that came whole also the digest.
  private func verified(
    _ extent: PartExtent, _ body: ByteBuffer
  ) throws(DFSError) -> [[UInt8]] {
    guard extent.id == id, extent.length == length, extent.offset == range.lowerBound,
      body.readableBytes == range.count, extent.checksums.count == blocks.count
    else {
      throw DFSError(
        .damaged,
        "\(body.readableBytes) bytes at \(extent.offset) of \(extent.length) came where "
          + "\(range.count) at \(range.lowerBound) of \(length) were asked")
    }
    let isWhole = range.count == length
    if isWhole, BlockChecksum.digest(of: extent.checksums) != version.partDigests[part.value] {
      throw DFSError(.damaged, "the copy is not of this version: its digest differs")
    }
    var found: [[UInt8]] = []
    found.reserveCapacity(blocks.count)
    for (index, checksum) in extent.checksums.enumerated() {
      let start = body.readerIndex + index * Limits.blockBytes
      let count = min(Limits.blockBytes, body.writerIndex - start)
      guard let block = body.getBytes(at: start, length: count), .of(block) == checksum else {
        throw DFSError(.damaged, "block \(blocks.lowerBound + index) does not match its checksum")
      }
      found.append(block)
    }
    return found
  }
}
