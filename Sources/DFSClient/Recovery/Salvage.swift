public import DFSCore
internal import Synchronization

/// What can be read of a version of which parts or blocks have no good copy.
///
/// A piece is read as any read is. If that fails, each of the contents that it is made of is asked for on its own
/// (`ContentSalvage`), and it is told of which of them bytes are missing.
public final class Salvage: Sendable {
  /// Consecutive bytes of the file, and either what they are or why nobody gives them.
  public struct Run: Sendable {
    /// What there is of a run.
    public enum Content: Sendable {
      case bytes([UInt8])
      case missing(Lack)
    }

    /// Bytes of the file.
    public let range: Range<UInt64>
    /// The bytes, as many as `range` has, unless they are missing.
    public let content: Content
  }

  /// Why nobody gives some bytes.
  public struct Lack: Sendable {
    /// The content that they would be from; that of a layer also where it lacks its index, which says what the layer
    /// covers.
    public let place: ContentPlace
    /// The part of that content.
    public let part: PartIndex
    /// Why each holder of the part does not give them.
    public let problems: [ServerIndex: DFSError]
  }

  /// What the version is made of, as far as that can be told.
  private struct Layout: Sendable {
    var map: VersionMap
    /// Layers of which it is not known what they cover: all that is not covered by newer ones is taken for theirs.
    var unknown: [Int: Lack] = [:]
  }

  private let service: any FileService & ClusterAdministration
  private let version: Version
  private let contents: [ContentSalvage]
  private let hasFailed = Mutex(false)
  private let layout = Mutex<Task<Layout, any Error>?>(nil)

  /// A reader of `version`; it asks for nothing before `read`.
  public init(_ version: Version, on service: any FileService & ClusterAdministration) {
    self.version = version
    self.service = service
    contents = version.placed.map { ContentSalvage($0.content, as: $0.place, on: service) }
  }

  /// Reads a piece of at most 1 MiB that begins with a block.
  /// - Returns: runs that together are the piece, in order.
  /// - Throws: what says nothing about the copies: an interruption.
  public func read(_ piece: Split.Piece) async throws -> [Run] {
    let range = Split(size: version.size).range(of: piece)
    if version.content != nil { return try await contents[0].read(range) }
    if !hasFailed.withLock({ $0 }) {
      do {
        return [Run(range: range, content: .bytes(try await service.readWhole(version, range)))]
      } catch {
        try ContentSalvage.requireFault(error)
      }
      hasFailed.withLock { $0 = true }
    }
    return try await compose(range)
  }

  private func compose(_ range: Range<UInt64>) async throws -> [Run] {
    let layout = try await wholeLayout()
    var runs = RunList(from: range.lowerBound)
    for segment in layout.map.pieces(of: range) {
      guard let source = segment.source else { continue }
      runs.fill(to: segment.range.lowerBound)
      if let lack = layout.unknown[source] {
        runs.append(Run(range: segment.range, content: .missing(lack)))
        continue
      }
      let bytes = segment.position..<segment.position + UInt64(segment.range.count)
      for run in try await contents[source].read(bytes) {
        let start = segment.range.lowerBound + (run.range.lowerBound - segment.position)
        runs.append(Run(range: start..<start + UInt64(run.range.count), content: run.content))
      }
    }
    runs.fill(to: range.upperBound)
    return runs.runs
  }

  // MARK: What it is made of

  /// Found out once.
  private func wholeLayout() async throws -> Layout {
    let task = layout.withLock { task in
      let one = task ?? Task { try await self.makeLayout() }
      task = one
      return one
    }
    return try await task.value
  }

  private func makeLayout() async throws -> Layout {
    var layout = Layout(map: VersionMap(base: version.base?.size ?? 0))
    let first = version.base == nil ? 0 : 1
    for (number, layer) in version.layers.enumerated() {
      switch try await extents(of: layer, contents[first + number]) {
      case .success(let extents):
        layout.map.lay(extents, of: layer, source: first + number)
      case .failure(let unknown):
        layout.unknown[first + number] = unknown.lack
        let all = layer.size == 0 ? [] : [LayerExtent(0..<layer.size)]
        layout.map.lay(all, from: 0, source: first + number, cut: layer.cut, size: layer.size)
      }
    }
    return layout
  }

  private struct Unknown: Error { let lack: Lack }

  private func extents(
    of layer: Layer, _ content: ContentSalvage
  ) async throws -> Result<[LayerExtent], Unknown> {
    guard case .content(let count) = layer.index else {
      if case .row(let extents) = layer.index { return .success(extents) }
      return .success([])
    }
    var bytes: [UInt8] = []
    for run in try await content.read(0..<UInt64(count)) {
      switch run.content {
      case .bytes(let more): bytes += more
      case .missing(let lack): return .failure(Unknown(lack: lack))
      }
    }
    do {
      return .success(try LayerIndex.extents(bytes, of: layer))
    } catch {
      return .failure(Unknown(lack: content.lack(at: 0, because: error)))
    }
  }
}

/// Runs that follow each other; the bytes of several become one.
private struct RunList {
  private(set) var runs: [Salvage.Run] = []
  private var end: UInt64

  init(from start: UInt64) { end = start }

  /// Zeros up to a byte, where nothing is stored.
  mutating func fill(to next: UInt64) {
    guard end < next else { return }
    let zeros = [UInt8](repeating: 0, count: Int(next - end))
    append(Salvage.Run(range: end..<next, content: .bytes(zeros)))
  }

  mutating func append(_ run: Salvage.Run) {
    end = run.range.upperBound
    guard case .bytes(let bytes) = run.content, let last = runs.last,
      case .bytes(let before) = last.content
    else { return runs.append(run) }
    runs[runs.count - 1] = Salvage.Run(
      range: last.range.lowerBound..<end, content: .bytes(before + bytes))
  }
}
