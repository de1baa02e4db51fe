internal import DFSCore
internal import DFSSystem
internal import DFSWire
internal import NIOCore

/// Brings a copy of a part to a server that lacks it: fetched from other holders, verified, stored
/// on stable storage, a MiB at a time.
///
/// Invariants:
/// - The copy is completed only if all its bytes have the digest that the inode's row says.
/// - Servers that are no holders, and the target itself, are asked for blocks only if no other holder
///   has them good: they may have what they let go of, its damaged copy may be good there.
struct CopyMover: Sendable {
  let transfer: Transfer
  let pace: Pace

  /// - Returns: the bytes that were brought.
  func bring(
    _ part: PartIndex, of version: Content, to server: ServerIndex
  ) async throws(DFSError) -> UInt64 {
    let id = PartID(version: version.id, part: part)
    let length = version.split.length(of: part)
    let stream = id.version.low &+ UInt64(part.value)
    let connection = try await transfer.cluster.sender(to: server, stream: stream)
    // A server may forget what a connection that ended has sent it.
    connection.retain()
    defer { connection.release() }
    var checksums: [BlockChecksum] = []
    var offset: UInt64 = 0
    repeat {
      if Task.isCancelled { throw .cancelled }
      let piece = try await piece(of: version, part, at: offset, not: server)
      CrashPoint.reached(.pieceFetched)
      checksums += piece.withUnsafeReadableBytes { BlockChecksum.blocks(of: $0) }
      let end = offset + UInt64(piece.readableBytes)
      if end == length, BlockChecksum.digest(of: checksums) != version.digest(of: part) {
        throw DFSError(.damaged, "the copies of part \(id) are not of this version: digests differ")
      }
      let blocks = checksums.suffix(
        (piece.readableBytes + Limits.blockBytes - 1) / Limits.blockBytes)
      let extent = PartExtent(
        id: id, length: length, offset: offset,
        checksums: piece.readableBytes == 0 ? [] : Array(blocks))
      let put = Request.PutPart(extent, durable: end == length)
      try await connection.put(put, body: piece, timeout: transfer.callTimeout)().get()
      offset = end
      await pace.passed(piece.readableBytes)
    } while offset < length
    CrashPoint.reached(.copyBrought)
    return length
  }

  private func piece(
    of version: Content, _ part: PartIndex, at offset: UInt64, not server: ServerIndex
  ) async throws(DFSError) -> ByteBuffer {
    let length = version.split.length(of: part)
    let end = min(length, offset + UInt64(Limits.chunkBytes))
    let blockBytes = UInt64(Limits.blockBytes)
    guard offset < end else { return ByteBuffer() }
    let range = Int(offset / blockBytes)..<Int((end + blockBytes - 1) / blockBytes)
    let others = version.held(by: .all.subtracting(ServerSet([server])), part)
    var found: [[UInt8]] = []
    do throws(DFSError) {
      found = try await fetch(others, part, range)
    } catch  where error.code == .damaged || error.code == .incomplete {
      if let spare = await spare(version, part, range, not: server) { return Self.buffer(spare) }
      if error.code == .incomplete || range.count == 1 { throw error }
      // Where two copies have bad blocks at different places, all blocks may yet be had.
      for block in range { found += try await fetch(version, part, block..<block + 1) }
    }
    return Self.buffer(found)
  }

  private static func buffer(_ blocks: [[UInt8]]) -> ByteBuffer {
    var buffer = ByteBuffer()
    for block in blocks { buffer.writeBytes(block) }
    return buffer
  }

  /// From servers that are no holders: what one of them let go of is kept for a while. (Small copies
  /// are asked of all servers as it is.)
  private func spare(
    _ version: Content, _ part: PartIndex, _ range: Range<Int>, not server: ServerIndex
  ) async -> [[UInt8]]? {
    let others = ServerSet.all.subtracting(version.placement.holders(of: part))
      .subtracting(ServerSet([server]))
    guard !others.isEmpty, !version.split.isInline else { return nil }
    let placement = PartIndex.all.map { $0 == part ? others : version.placement.holders(of: $0) }
    var spare = version
    spare.placement = Placement(holders: placement)
    return try? await fetch(spare, part, range)
  }

  private func fetch(
    _ version: Content, _ part: PartIndex, _ blocks: Range<Int>
  ) async throws(DFSError) -> [[UInt8]] {
    try await PartFetch(transfer: transfer, version: version, part: part, blocks: blocks).run()
  }
}

extension Content {
  /// As if only these servers held `part`.
  fileprivate func held(by servers: ServerSet, _ part: PartIndex) -> Content {
    var version = self
    version.placement = Placement(
      holders: PartIndex.all.map { index in
        let holders = placement.holders(of: index)
        return index == part ? holders.intersection(servers) : holders
      })
    return version
  }
}

/// Slows work down to so many bytes a second.
actor Pace {
  private let bytesPerSecond: Int?
  private let environment: any Environment
  private var free: ContinuousClock.Instant

  /// - Parameter bytesPerSecond: nil for no limit.
  init(bytesPerSecond: Int?, _ environment: any Environment) {
    (self.bytesPerSecond, self.environment) = (bytesPerSecond, environment)
    free = environment.now
  }

  /// Waits until as much time has passed as these bytes may take, all callers together.
  func passed(_ bytes: Int) async {
    guard let bytesPerSecond, bytesPerSecond > 0 else { return }
    free = max(free, environment.now) + .seconds(Double(bytes) / Double(bytesPerSecond))
    try? await environment.sleep(until: free)
  }
}
