public import DFSCore
internal import Synchronization

/// What can be read of a version of which parts or blocks have no good copy.
///
/// A piece is read as any read is. If that fails, its blocks are asked for one by one, of every
/// holder, since a request is answered as damaged if any of its blocks is; so a part of which both
/// copies are damaged at different blocks is had whole.
public final class Salvage: Sendable {
  /// Consecutive bytes of the content, and either what they are or why nobody gives them.
  public struct Run: Sendable {
    /// What there is of a run.
    public enum Content: Sendable {
      case bytes([UInt8])
      /// Why each holder of the part does not give them.
      case missing([ServerIndex: DFSError])
    }

    /// Bytes of the content.
    public let range: Range<UInt64>
    /// The bytes, as many as `range` has, unless they are missing.
    public let content: Content
  }

  private typealias Problems = [ServerIndex: DFSError]

  private let service: any FileService & ClusterAdministration
  private let version: Version
  /// Holders that do not have their copy of a part at all: they are asked once.
  private let absent = Mutex<[PartIndex: Problems]>([:])

  /// A reader of `version`; it asks for nothing before `read`.
  public init(_ version: Version, on service: any FileService & ClusterAdministration) {
    self.version = version
    self.service = service
  }

  /// Reads a piece of at most 1 MiB that begins with a block.
  /// - Returns: runs that together are the piece, in order.
  /// - Throws: what says nothing about the copies: an interruption.
  public func read(_ piece: Split.Piece) async throws -> [Run] {
    let range = Split(size: version.size).range(of: piece)
    let absent = absent.withLock { $0[piece.part] ?? [:] }
    if version.content != nil, absent.count == holders(of: piece.part).count {
      return [Run(range: range, content: .missing(absent))]
    }
    do {
      return [Run(range: range, content: .bytes(try await wholeRead(range)))]
    } catch {
      if Task.isCancelled { throw DFSError.cancelled }
      guard CopyFault(DFSError(error, else: .inputOutput)) != nil else { throw error }
    }
    return try await blockwise(piece)
  }

  private func holders(of part: PartIndex) -> [ServerIndex] {
    version.content?.placement.holders(of: part).servers ?? []
  }

  private func wholeRead(_ range: Range<UInt64>) async throws -> [UInt8] {
    var bytes: [UInt8] = []
    while bytes.count < range.count {
      let rest = range.lowerBound + UInt64(bytes.count)..<range.upperBound
      let more = try await service.read(version, rest)
      guard !more.isEmpty, more.count <= rest.count else {
        throw DFSError(.protocolViolation, "a read of \(rest.count) bytes gave \(more.count)")
      }
      bytes += more
    }
    return bytes
  }

  // MARK: Block by block

  private func blockwise(_ piece: Split.Piece) async throws -> [Run] {
    var runs: [Run] = []
    var gone = absent.withLock { $0[piece.part] ?? [:] }
    for block in piece.steps(of: Limits.blockBytes) {
      let range = Split(size: version.size).range(of: block)
      runs.append(Run(range: range, content: try await self.block(block, &gone)))
    }
    return runs
  }

  /// - Parameter gone: holders that give nothing of this piece; they are not asked again.
  private func block(
    _ block: Split.Piece, _ gone: inout Problems
  ) async throws -> Run.Content {
    var problems = gone
    guard let content = version.content else {
      // Which of its contents lacks the bytes is not told; the error is.
      do {
        return .bytes(try await wholeRead(Split(size: version.size).range(of: block)))
      } catch {
        if Task.isCancelled { throw DFSError.cancelled }
        return .missing(problems)
      }
    }
    for server in holders(of: block.part) where gone[server] == nil {
      do {
        let extent = try await service.readCopySteadily(
          content, block.part, on: server, block.range)
        return .bytes(Array(extent.blocks.joined()))
      } catch let error as CopyError {
        problems[server] = error.error
        if error.fault != .damaged { gone[server] = error.error }
        if error.fault == .absent {
          absent.withLock { $0[block.part, default: [:]][server] = error.error }
        }
      }
    }
    return .missing(problems)
  }
}

/// What is missing of a version, in ranges as long as possible.
public struct Gaps: Sendable {
  /// Consecutive bytes of one part that no server gives.
  public struct Gap: Sendable {
    /// The part that the bytes are of.
    public let part: PartIndex
    /// Bytes of the content.
    public fileprivate(set) var range: Range<UInt64>
    /// Why the servers that should have it do not give it; of the first bytes, where it differs.
    public let problems: [ServerIndex: DFSError]

    fileprivate func isContinued(by range: Range<UInt64>, _ other: [ServerIndex: DFSError]) -> Bool
    {
      self.range.upperBound == range.lowerBound
        && problems.mapValues(\.code) == other.mapValues(\.code)
    }
  }

  private var byPart: [[Gap]] = Array(repeating: [], count: Limits.partCount)

  /// No gaps, until `add` finds some.
  public init() {}

  /// In the order of the content.
  public var all: [Gap] { Array(byPart.joined()) }
  /// Whether nothing is missing.
  public var isEmpty: Bool { byPart.allSatisfy(\.isEmpty) }
  /// The number of bytes that are missing.
  public var bytes: UInt64 { byPart.joined().reduce(0) { $0 + UInt64($1.range.count) } }

  /// Adds what is missing of the piece that these runs are; pieces of one part come in order.
  public mutating func add(_ runs: [Salvage.Run], of part: PartIndex) {
    for run in runs {
      guard case .missing(let problems) = run.content else { continue }
      let last = byPart[part.value].indices.last
      if let last, byPart[part.value][last].isContinued(by: run.range, problems) {
        let start = byPart[part.value][last].range.lowerBound
        byPart[part.value][last].range = start..<run.range.upperBound
      } else {
        byPart[part.value].append(Gap(part: part, range: run.range, problems: problems))
      }
    }
  }
}
