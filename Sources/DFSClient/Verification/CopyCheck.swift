internal import DFSCore

/// Reads one copy back from its server and judges it: every block against its checksum, all
/// checksums against the digest in the file's row.
///
/// At most `width` pieces of 1 MiB are in memory, whatever the length of the part.
struct CopyCheck: Sendable {
  static let width = 4

  struct Result: Sendable {
    /// What is wrong with the copy; nil if it is good.
    var fault: CopyFault?
    /// The first error, in the words of who found it.
    var problem: DFSError?
    /// The first bad byte of the part; nil if the whole copy is not to be had.
    var offset: UInt64?
    var badBytes: UInt64 = 0
    var bytesRead: UInt64 = 0
    /// The MD5 of the content up to the end of this part, if it was asked for and the copy is good.
    var md5: MD5Hasher?
  }

  /// The blocks of a piece that are good, and what is wrong with the others.
  private struct Found: Sendable {
    let range: Range<UInt64>
    var blocks: [[UInt8]] = []
    var checksums: [BlockChecksum] = []
    var firstBad: (offset: UInt64, error: CopyError)?
    var badBytes: UInt64 = 0

    mutating func add(_ extent: CopyExtent) {
      blocks += extent.blocks
      checksums += extent.checksums
    }
  }

  let service: any ClusterAdministration
  let version: Content
  let part: PartIndex
  let server: ServerIndex

  /// Reads all of the copy.
  /// - Parameters:
  ///   - md5: of the content up to this part, to be carried on.
  ///   - progress: told the bytes of each step.
  func run(
    continuing md5: MD5Hasher? = nil, progress: @escaping @Sendable (UInt64) -> Void
  ) async throws -> Result {
    var result = Result(md5: md5)
    let digester = PartDigester()
    do {
      let steps = version.split.whole(part).steps(of: Limits.chunkBytes)
      try await inOrder(steps, width: Self.width) { piece in
        try await read(piece.range)
      } take: { found in
        result.add(found.blocks, bad: found.badBytes, found.firstBad)
        digester.update(found.checksums)
        progress(UInt64(found.range.count))
      }
      if result.fault == nil, digester.digest != version.digest(of: part) {
        result.fail(
          .damaged, DFSError(.damaged, "the copy is not of this version: its digest differs"),
          at: 0)
        result.badBytes = version.split.length(of: part)
      }
    } catch let error as CopyError {
      result.fail(error.fault, error.error, at: nil)
    }
    return result
  }

  /// Reads the first block only: whether the server has the copy at all.
  func presence() async throws -> Result {
    var result = Result()
    let end = min(UInt64(Limits.blockBytes), version.split.length(of: part))
    do {
      let extent = try await service.readCopySteadily(version, part, on: server, 0..<end)
      result.bytesRead = UInt64(extent.byteCount)
    } catch let error as CopyError {
      result.fail(error.fault, error.error, at: error.fault == .damaged ? 0 : nil)
      result.badBytes = error.fault == .damaged ? end : 0
    }
    return result
  }

  // MARK: Pieces

  /// - Throws: `CopyError` if no byte of the copy can be had.
  private func read(_ range: Range<UInt64>) async throws -> Found {
    var found = Found(range: range)
    do {
      found.add(try await service.readCopySteadily(version, part, on: server, range))
      return found
    } catch let error as CopyError where error.fault == .damaged {
      // One of its blocks is: which?
    }
    for block in Split.Piece(part: part, range: range).steps(of: Limits.blockBytes) {
      do {
        found.add(try await service.readCopySteadily(version, part, on: server, block.range))
      } catch let error as CopyError where error.fault == .damaged {
        found.firstBad = found.firstBad ?? (block.range.lowerBound, error)
        found.badBytes += UInt64(block.range.count)
      }
    }
    return found
  }
}

extension CopyCheck.Result {
  fileprivate mutating func add(
    _ blocks: [[UInt8]], bad: UInt64, _ first: (offset: UInt64, error: CopyError)?
  ) {
    badBytes += bad
    if let first { fail(first.error.fault, first.error.error, at: first.offset) }
    for block in blocks {
      bytesRead += UInt64(block.count)
      block.withUnsafeBytes { md5?.update($0) }
    }
  }

  /// The first problem counts.
  fileprivate mutating func fail(_ fault: CopyFault, _ error: DFSError, at offset: UInt64?) {
    md5 = nil
    if fault != .damaged || self.fault == nil {
      (self.fault, problem, self.offset) = (fault, error, offset)
    }
  }
}
