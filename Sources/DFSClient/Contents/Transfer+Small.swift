internal import DFSCore
internal import DFSWire

/// Contents whose parts are small: what is not here of one comes at once, from as few servers as have
/// it together, which are two as long as all are well.
extension Transfer {
  /// The parts whole, in the order of `pieces`.
  func readSmall(_ version: Content, _ parts: [PartIndex]) async throws(DFSError) -> [[UInt8]] {
    try await blocks.wholes(ids(version, parts), load: smallLoader(version))
  }

  /// Begins to load a small content that is about to be read.
  /// - Parameter heads: is told of the heads that come with it.
  func expectReading(_ version: Content, _ heads: AskedHeads) {
    guard version.split.isInline, version.placement.missingParts(on: cluster.reachable).isEmpty
    else { return }
    let parts = version.split.pieces(of: 0..<version.size).map(\.part)
    blocks.loadWholesAhead(ids(version, parts), load: smallLoader(version, heads))
  }

  private func ids(_ version: Content, _ parts: [PartIndex]) -> [PartID] {
    parts.map { PartID(version: version.id, part: $0) }
  }

  private func smallLoader(
    _ version: Content, _ heads: AskedHeads? = nil
  ) -> BlockLoader.WholesLoad {
    { (ids: [PartID]) in await loadSmall(version, ids.map(\.part), heads) }
  }

  private func loadSmall(
    _ version: Content, _ parts: [PartIndex], _ heads: AskedHeads?
  ) async -> [PartIndex: Result<[UInt8], DFSError>] {
    let fetch = SmallFetch(transfer: self, version: version, parts: parts, heads: heads)
    let found = await fetch.run()
    guard found.count < parts.count else { return found.mapValues { .success($0) } }
    // The long way knows what to do, and whom to tell.
    return await withTaskGroup(
      of: (PartIndex, Result<[UInt8], DFSError>).self
    ) { group in
      for part in parts where found[part] == nil {
        group.addTask { (part, await loadWhole(version, part)) }
      }
      return await group.reduce(into: found.mapValues { .success($0) }) { $0[$1.0] = $1.1 }
    }
  }

  private func loadWhole(
    _ version: Content, _ part: PartIndex
  ) async -> Result<[UInt8], DFSError> {
    do throws(DFSError) {
      let fetch = PartFetch(transfer: self, version: version, part: part, blocks: 0..<1)
      return .success(try await fetch.run()[0])
    } catch {
      return .failure(error)
    }
  }
}

/// Asks servers for small parts, several in one message.
struct SmallFetch: Sendable {
  let transfer: Transfer
  let version: Content
  /// None of them empty.
  let parts: [PartIndex]
  let heads: AskedHeads?

  /// The parts that came and are right. What is missing, bad or late is left out.
  func run() async -> [PartIndex: [UInt8]] {
    let cluster = transfer.cluster
    let asked = Self.assign(parts, of: version) {
      cluster.reachable.contains($0) && !transfer.watch.isSlow($0)
    }
    let servers = asked.keys.sorted { $0.value < $1.value }
    heads?.expect(servers)
    let answers = await gather(
      from: servers, on: cluster.loop, within: transfer.hedge
    ) { (server: ServerIndex, note: @escaping @Sendable ([InlinePart]?) -> Void) in
      let ids = (asked[server] ?? []).map { PartID(version: version.id, part: $0) }
      let request = Request.GetSmallParts(ids)
      transfer.questions.ask(server, request, timeout: transfer.callTimeout) { answer in
        let small = try? answer.get()
        heads?.told(small?.head, by: server)
        note(small?.parts ?? [])
      }
    }
    var found: [PartIndex: [UInt8]] = [:]
    for (server, parts) in asked {
      guard let answer = answers[server] else {
        transfer.watch.overtaken(server)
        continue
      }
      for part in answer where parts.contains(part.id.part) && isRight(part) {
        found[part.id.part] = part.bytes
      }
    }
    return found
  }

  private func isRight(_ part: InlinePart) -> Bool {
    let index = part.id.part
    return part.id.version == version.id
      && UInt64(part.bytes.count) == version.split.length(of: index)
      && part.bytes.withUnsafeBytes { BlockChecksum.digest(of: BlockChecksum.blocks(of: $0)) }
        == version.digest(of: index)
  }

  /// Which server is asked for which parts: the fewest that have all of them together. Of several such
  /// sets each version has its own, so that all servers have to do. A part that none of the servers
  /// has is left out.
  static func assign(
    _ parts: [PartIndex], of version: Content, to isGood: (ServerIndex) -> Bool
  ) -> [ServerIndex: [PartIndex]] {
    let good = ServerSet(ServerIndex.all.filter(isGood))
    let wanted = parts.filter { !version.placement.holders(of: $0).isDisjoint(with: good) }
    let sets = (1...ServerSet.all.rawValue).map(ServerSet.init(rawValue:)).filter { servers in
      good.isSuperset(of: servers)
        && wanted.allSatisfy { !version.placement.holders(of: $0).isDisjoint(with: servers) }
    }
    let fewest = sets.map(\.count).min()
    let best = sets.filter { $0.count == fewest }
    guard !wanted.isEmpty, !best.isEmpty else { return [:] }
    let chosen = best[Int(version.id.low % UInt64(best.count))]
    return Dictionary(grouping: wanted) { part in
      version.placement.holders(of: part).intersection(chosen).servers[0]
    }
  }
}
