internal import DFSCore
internal import Synchronization

/// What can be read of one content of which parts or blocks have no good copy.
///
/// A piece is read as any read is. If that fails, its blocks are asked for one by one, of every
/// holder, since a request is answered as damaged if any of its blocks is; so a part of which both
/// copies are damaged at different blocks is had whole.
final class ContentSalvage: Sendable {
  private typealias Problems = [ServerIndex: DFSError]

  private let service: any FileService & ClusterAdministration
  private let content: Content
  private let place: ContentPlace
  /// Holders that do not have their copy of a part at all: they are asked once.
  private let absent = Mutex<[PartIndex: Problems]>([:])

  init(
    _ content: Content, as place: ContentPlace, on service: any FileService & ClusterAdministration
  ) {
    self.content = content
    self.place = place
    self.service = service
  }

  /// - Throws: the error itself, if it says nothing about copies; `cancelled` for who was cancelled.
  static func requireFault(_ error: any Error) throws {
    if Task.isCancelled { throw DFSError.cancelled }
    guard CopyFault(DFSError(error, else: .inputOutput)) != nil else { throw error }
  }

  /// - Returns: runs that together are `range` of the content, in order.
  /// - Throws: what says nothing about the copies: an interruption.
  func read(_ range: Range<UInt64>) async throws -> [Salvage.Run] {
    var runs: [Salvage.Run] = []
    for piece in content.split.pieces(of: range) { runs += try await read(piece) }
    return runs
  }

  /// All holders of the part that has a byte fail for one reason.
  func lack(at offset: UInt64, because error: DFSError) -> Salvage.Lack {
    let part = content.split.pieces(of: offset..<offset + 1).first?.part ?? PartIndex(0)
    let problems = Dictionary(uniqueKeysWithValues: holders(of: part).map { ($0, error) })
    return Salvage.Lack(place: place, part: part, problems: problems)
  }

  private func read(_ piece: Split.Piece) async throws -> [Salvage.Run] {
    let range = content.split.range(of: piece)
    let absent = absent.withLock { $0[piece.part] ?? [:] }
    if absent.count == holders(of: piece.part).count {
      return [Salvage.Run(range: range, content: missing(piece.part, absent))]
    }
    do {
      let bytes = try await service.readWhole(Version(content), range)
      return [Salvage.Run(range: range, content: .bytes(bytes))]
    } catch {
      try Self.requireFault(error)
    }
    return try await blockwise(piece)
  }

  private func holders(of part: PartIndex) -> [ServerIndex] {
    content.placement.holders(of: part).servers
  }

  private func missing(_ part: PartIndex, _ problems: Problems) -> Salvage.Run.Content {
    .missing(Salvage.Lack(place: place, part: part, problems: problems))
  }

  // MARK: Block by block

  private func blockwise(_ piece: Split.Piece) async throws -> [Salvage.Run] {
    var runs: [Salvage.Run] = []
    var gone = absent.withLock { $0[piece.part] ?? [:] }
    let start = content.split.range(of: piece.part).lowerBound
    for block in piece.blocks {
      let whole = UInt64(block) * UInt64(Limits.blockBytes)
      let wanted = piece.range.clamped(to: whole..<whole + UInt64(Limits.blockBytes))
      let found = try await self.block(wanted, of: piece.part, from: whole, &gone)
      runs.append(
        Salvage.Run(range: start + wanted.lowerBound..<start + wanted.upperBound, content: found))
    }
    return runs
  }

  /// - Parameters:
  ///   - whole: where the block begins in the part.
  ///   - gone: holders that give nothing of this piece; they are not asked again.
  private func block(
    _ wanted: Range<UInt64>, of part: PartIndex, from whole: UInt64, _ gone: inout Problems
  ) async throws -> Salvage.Run.Content {
    var problems = gone
    for server in holders(of: part) where gone[server] == nil {
      do {
        let extent = try await service.readCopySteadily(content, part, on: server, wanted)
        let bytes = Array(extent.blocks.joined())
        guard whole + UInt64(bytes.count) >= wanted.upperBound else {
          let error = DFSError(.protocolViolation, "\(server) gave less than a block of its copy")
          throw CopyError(fault: .damaged, error: error)
        }
        return .bytes(
          Array(bytes[Int(wanted.lowerBound - whole)..<Int(wanted.upperBound - whole)]))
      } catch let error as CopyError {
        problems[server] = error.error
        if error.fault != .damaged { gone[server] = error.error }
        if error.fault == .absent {
          absent.withLock { $0[part, default: [:]][server] = error.error }
        }
      }
    }
    return missing(part, problems)
  }
}

extension FileService {
  /// Bytes of a version, however many.
  func readWhole(_ version: Version, _ range: Range<UInt64>) async throws -> [UInt8] {
    var bytes: [UInt8] = []
    while bytes.count < range.count {
      let rest = range.lowerBound + UInt64(bytes.count)..<range.upperBound
      let more = try await read(version, rest)
      guard !more.isEmpty, more.count <= rest.count else {
        throw DFSError(.protocolViolation, "a read of \(rest.count) bytes gave \(more.count)")
      }
      bytes += more
    }
    return bytes
  }
}
