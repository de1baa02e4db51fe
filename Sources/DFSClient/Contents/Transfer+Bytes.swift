internal import DFSCore
internal import DFSWire

/// A few bytes that are read here and there in a large content: they come alone, and nothing is kept of them,
/// since the kernel keeps what it reads.
extension Transfer {
  /// The bytes of a piece, from the holder that is best asked.
  /// - Returns: nil if they are too many, expected with their block, or did not come as they should: then
  ///   whole blocks are read, by who knows what to do and whom to tell.
  func readBytes(_ version: Content, _ piece: Split.Piece) async -> [UInt8]? {
    let id = PartID(version: version.id, part: piece.part)
    let holders = version.placement.holders(of: piece.part).intersection(cluster.reachable)
    guard piece.range.count <= Wire.rangeBytes, !blocks.isExpected(id, piece.blocks),
      let server = bestFirst(holders).first, !watch.isSlow(server)
    else { return nil }
    typealias Answer = Result<Reply.PartBytes, DFSError>
    let request = Request.GetBytes(id, range: piece.range)
    let answers = await gather(
      from: [server], on: cluster.loop, within: hedge
    ) { (server: ServerIndex, note: @escaping @Sendable (Answer?) -> Void) in
      cluster.ask(server, request, timeout: callTimeout) { note($0) }
    }
    guard let answer = answers[server] else {
      watch.overtaken(server)
      return nil
    }
    guard case .success(let part) = answer, part.bytes.count == piece.range.count,
      .of(part.bytes) == part.checksum
    else { return nil }
    return part.bytes
  }

  /// Servers in the order in which they are best asked for a part: those that are not slow just now, with
  /// little to do, and for each part another one.
  func bestFirst(_ servers: ServerSet) -> [ServerIndex] {
    let preferred = servers.preferred
    func cost(_ server: ServerIndex) -> Int {
      let queue = cluster.load(of: server) / (4 * Limits.chunkBytes)
      return (watch.isSlow(server) ? 1_000_000 : 0) + 2 * queue + (server == preferred ? 0 : 1)
    }
    return servers.servers.map { ($0, cost($0)) }.sorted { $0.1 < $1.1 }.map(\.0)
  }
}
