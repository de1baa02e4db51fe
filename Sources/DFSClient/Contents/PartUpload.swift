internal import DFSCore
internal import DFSSystem
internal import DFSWire
internal import NIOCore

/// Sends one part to its holders, piece by piece.
///
/// Invariants:
/// - A piece is read once; all holders are sent the same bytes.
/// - At most `piecesUnderWay` pieces are read and not yet stored by all holders.
/// - The pieces go to a holder in order, on one connection; the last one completes the copy.
/// - A holder that is lost on the way gets no more, and the others go on, if `losses` allows it.
struct PartUpload: Sendable {
  static let piecesUnderWay = 3
  /// What a disk is expected to do at least, when a whole part is put on stable storage.
  private static let syncBytesPerSecond: UInt64 = 20_000_000

  let transfer: Transfer
  let source: any ContentSource
  let id: PartID
  /// Of the content.
  let range: Range<UInt64>
  let holders: [ServerIndex]
  let durable: Bool
  let losses: UploadLosses

  /// The way to one holder.
  struct Route: Sendable {
    let server: ServerIndex
    let connection: any CopySender
  }

  private struct Piece: Sendable {
    let offset: UInt64
    let bytes: ByteBuffer
    let checksums: [BlockChecksum]
  }

  private struct Sent {
    let count: Int
    let answers: [(server: ServerIndex, answer: CopySender.Stored)]
  }

  private var length: UInt64 { UInt64(range.count) }

  /// - Parameter stored: told the bytes of each piece that all holders have.
  /// - Returns: the digest of the part.
  func run(on routes: [Route], stored: (Int) -> Void) async throws(DFSError) -> BlockChecksum {
    var checksums: [BlockChecksum] = []
    var underWay = CircularBuffer<Sent>()
    var offset: UInt64 = 0
    var routes = routes
    repeat {
      if underWay.count == Self.piecesUnderWay {
        stored(try await finish(underWay.removeFirst(), &routes))
      }
      if Task.isCancelled { throw .cancelled }
      let piece = try await read(at: offset)
      checksums += piece.checksums
      underWay.append(send(piece, on: routes))
      offset += UInt64(piece.bytes.readableBytes)
    } while offset < length
    while let oldest = underWay.popFirst() { stored(try await finish(oldest, &routes)) }
    return BlockChecksum.digest(of: checksums)
  }

  func openRoutes() async throws(DFSError) -> [Route] {
    var routes: [Route] = []
    // Neighbouring parts, which a server has of one version, take different connections.
    let stream = id.version.low &+ UInt64(id.part.value)
    for server in holders {
      do throws(DFSError) {
        let connection = try await transfer.cluster.sender(to: server, stream: stream)
        routes.append(Route(server: server, connection: connection))
      } catch {
        try lose(server, error)
      }
    }
    guard !routes.isEmpty else {
      throw DFSError(.serversMissing, "no holder of part \(id.part) can be reached")
    }
    return routes
  }

  /// Reads and checksums the piece at `offset` of the part.
  private func read(at offset: UInt64) async throws(DFSError) -> Piece {
    let count = Int(min(UInt64(Limits.chunkBytes), length - offset))
    let start = range.lowerBound + offset
    return try await transfer.reading(source, start..<start + UInt64(count)) { source in
      var bytes = ByteBufferAllocator().buffer(capacity: count)
      try bytes.writeWithUnsafeMutableBytes(minimumWritableBytes: count) { buffer in
        try source.read(into: UnsafeMutableRawBufferPointer(rebasing: buffer[..<count]), at: start)
        return count
      }
      let checksums = bytes.withUnsafeReadableBytes { BlockChecksum.blocks(of: $0) }
      return Piece(offset: offset, bytes: bytes, checksums: checksums)
    }
  }

  private func send(_ piece: Piece, on routes: [Route]) -> Sent {
    let count = piece.bytes.readableBytes
    let extent = PartExtent(
      id: id, length: length, offset: piece.offset, checksums: piece.checksums)
    let isLast = piece.offset + UInt64(count) == length
    let answers = routes.map { route in
      let answer = route.connection.put(
        Request.PutPart(extent, durable: durable && isLast), body: piece.bytes,
        timeout: timeout(isLast: isLast))
      return (route.server, answer)
    }
    return Sent(count: count, answers: answers)
  }

  /// Stable storage takes longer, the longer the part; a server that is gone is noticed sooner.
  private func timeout(isLast: Bool) -> Duration {
    guard durable, isLast else { return transfer.callTimeout }
    return transfer.callTimeout + .seconds(Int64(length / Self.syncBytesPerSecond))
  }

  /// Waits until all holders have stored a piece; those that are lost leave `routes`.
  private func finish(_ sent: Sent, _ routes: inout [Route]) async throws(DFSError) -> Int {
    for (server, answer) in sent.answers
    where routes.contains(where: { $0.server == server }) {
      do throws(DFSError) {
        try await answer().get()
      } catch {
        try lose(server, error)
        routes.removeAll { $0.server == server }
      }
    }
    guard !routes.isEmpty else {
      throw DFSError(.serversMissing, "all holders of part \(id.part) were lost")
    }
    CrashPoint.reached(.someCopiesUploaded)
    return sent.count
  }

  /// Goes on without a server that is lost, or throws.
  private func lose(_ server: ServerIndex, _ error: DFSError) throws(DFSError) {
    guard losses.note(server, error) else { throw failure(error, on: server) }
  }

  /// The error of one server, with its name; a lost server is a missing one.
  private func failure(_ error: DFSError, on server: ServerIndex) -> DFSError {
    if error.code == .cancelled { return error }
    let code = error.code == .disconnected ? .serversMissing : error.code
    return DFSError(
      code, "part \(id.part) could not be stored on \(server): \(error.message)",
      cause: error.cause.map { DFSError(.inputOutput, $0) })
  }
}
