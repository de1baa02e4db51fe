internal import DFSCore
internal import DFSWire
internal import NIOCore

/// Asks one server for blocks of its copy of a part, and verifies what comes: the one place where
/// bytes of a copy are believed.
struct CopyFetch: Sendable {
  let transfer: Transfer
  let version: Content
  let part: PartIndex
  /// At most `Limits.chunkBytes` in all.
  let blocks: Range<Int>

  var id: PartID { PartID(version: version.id, part: part) }
  private var length: UInt64 { version.split.length(of: part) }

  /// The bytes of the part that the blocks are.
  private var range: Range<UInt64> {
    let bytes = UInt64(Limits.blockBytes)
    return UInt64(blocks.lowerBound) * bytes..<min(UInt64(blocks.upperBound) * bytes, length)
  }

  func fetch(from server: ServerIndex) async throws(DFSError) -> CopyExtent {
    do throws(DFSError) {
      let (extent, body) = try await transfer.cluster.getPart(
        Request.GetPart(id, range: range), from: server, timeout: transfer.callTimeout)
      return try verified(extent, body ?? ByteBuffer())
    } catch {
      switch error.code {
      case .disconnected, .timedOut, .cancelled: break
      default: transfer.watch.bad(id, on: server, error)
      }
      throw error
    }
  }

  /// The blocks, each of which has its checksum; of a part that came whole also the digest.
  private func verified(
    _ extent: PartExtent, _ body: ByteBuffer
  ) throws(DFSError) -> CopyExtent {
    guard extent.id == id, extent.length == length, extent.offset == range.lowerBound,
      body.readableBytes == range.count, extent.checksums.count == blocks.count
    else {
      throw DFSError(
        .damaged,
        "\(body.readableBytes) bytes at \(extent.offset) of \(extent.length) came where "
          + "\(range.count) at \(range.lowerBound) of \(length) were asked")
    }
    let isWhole = range.count == length
    if isWhole, BlockChecksum.digest(of: extent.checksums) != version.digest(of: part) {
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
    return CopyExtent(blocks: found, checksums: extent.checksums)
  }
}

extension Transfer {
  /// The whole blocks of one copy that `range` covers, from this server and no other.
  func readCopy(
    _ version: Content, _ part: PartIndex, on server: ServerIndex, _ range: Range<UInt64>
  ) async throws(DFSError) -> CopyExtent {
    let piece = Split.Piece(
      part: part, range: range.clamped(to: 0..<version.split.length(of: part)))
    guard piece.blocks.count * Limits.blockBytes <= Limits.chunkBytes else {
      throw DFSError(
        .invalidArgument,
        "a read of \(piece.range.count) bytes of a copy; the limit is \(Limits.chunkBytes)")
    }
    guard !piece.range.isEmpty else { return CopyExtent(blocks: [], checksums: []) }
    return try await CopyFetch(
      transfer: self, version: version, part: part, blocks: piece.blocks
    ).fetch(from: server)
  }
}
