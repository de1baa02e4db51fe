internal import DFSCore
internal import Synchronization

/// Versions with layers, read content by content.
final class LayerReader: Sendable {
  /// Maps that are kept, and segments that those that are not the newest have together: about 40 MiB.
  private static let limit = (maps: 16, segments: 1 << 20)

  /// What a map is of: contents, whose identities are random. The number of an inode may come again, after servers
  /// have lost changes with their power.
  private struct Key: Hashable {
    let base: VersionID?
    let layers: [VersionID]
  }

  private struct State {
    var maps: [Key: (map: VersionMap, lastUse: UInt64)] = [:]
    var clock: UInt64 = 0
  }

  private let transfer: Transfer
  private let state = Mutex(State())

  init(_ transfer: Transfer) { self.transfer = transfer }

  /// Bytes of a version, verified; `range` is clamped to the size, and to 1 MiB.
  /// - Throws: as `Transfer.read`.
  func read(_ version: Version, _ range: Range<UInt64>) async throws -> [UInt8] {
    if let content = version.content { return try await transfer.read(content, range) }
    let start = min(range.lowerBound, version.size)
    let end = min(min(range.upperBound, version.size), start + UInt64(Limits.chunkBytes))
    guard start < end else { return [] }
    let pieces = try await map(of: version).pieces(of: start..<end)
    var bytes = [UInt8](repeating: 0, count: Int(end - start))
    let contents = version.contents
    let bySource = Dictionary(grouping: pieces) { $0.source ?? 0 }
    try await withThrowingTaskGroup(of: [(VersionMap.Segment, [UInt8])].self) { group in
      for (source, pieces) in bySource.sorted(by: { $0.key < $1.key }) {
        group.addTask { [transfer] in
          try await Self.read(pieces, of: contents[source], through: transfer)
        }
      }
      for try await found in group {
        for (piece, read) in found {
          let place = Int(piece.range.lowerBound - start)
          bytes.replaceSubrange(place..<place + read.count, with: read)
        }
      }
    }
    return bytes
  }

  /// Bytes of a version, however many.
  /// - Throws: as `read`; `damaged` if the version ends before them.
  func readWhole(_ version: Version, _ range: Range<UInt64>) async throws -> [UInt8] {
    try await whole(range, of: "version \(version.id) of \(version.size) bytes") {
      try await self.read(version, $0)
    }
  }

  /// Pieces of one content, which are mostly in the same blocks.
  private static func read(
    _ pieces: [VersionMap.Segment], of content: Content, through transfer: Transfer
  ) async throws -> [(VersionMap.Segment, [UInt8])] {
    var found: [(VersionMap.Segment, [UInt8])] = []
    for piece in pieces {
      let count = UInt64(piece.range.count)
      let bytes = try await transfer.readWhole(content, piece.position..<piece.position + count)
      found.append((piece, bytes))
    }
    return found
  }

  // MARK: Maps

  /// What a version is made of.
  /// - Throws: `damaged` if an index is none; what reading it throws.
  func map(of version: Version) async throws -> VersionMap {
    let key = Key(base: version.base?.id, layers: version.layers.map(\.content.id))
    var (map, laid) = known(key) ?? (VersionMap(base: version.base?.size ?? 0), 0)
    let first = version.base == nil ? 0 : 1
    for (number, layer) in version.layers.enumerated().dropFirst(laid) {
      map.lay(try await extents(of: layer), of: layer, source: first + number)
      laid = number + 1
    }
    keep(map, key)
    return map
  }

  /// The extents of a layer, read from its content if they are there.
  func extents(of layer: Layer) async throws -> [LayerExtent] {
    switch layer.index {
    case .row(let extents): return extents
    case .content(let count):
      let bytes = try await transfer.readWhole(layer.content, 0..<UInt64(count))
      return try LayerIndex.extents(bytes, of: layer)
    }
  }

  /// The map of a version, or of as many of its older layers as there is one of.
  private func known(_ key: Key) -> (VersionMap, laid: Int)? {
    state.withLock { state in
      state.clock += 1
      var layers = key.layers
      while true {
        let key = Key(base: key.base, layers: layers)
        if let map = state.maps[key]?.map {
          state.maps[key]?.lastUse = state.clock
          return (map, layers.count)
        }
        guard layers.popLast() != nil else { return nil }
      }
    }
  }

  private func keep(_ map: VersionMap, _ key: Key) {
    state.withLock { state in
      state.maps[key] = (map, state.clock)
      while state.maps.count > 1,
        state.maps.count > Self.limit.maps
          || state.maps.values.reduce(0, { $0 + $1.map.segments.count }) > Self.limit.segments,
        let oldest = state.maps.min(by: { $0.value.lastUse < $1.value.lastUse })
      { state.maps[oldest.key] = nil }
    }
  }
}

extension Transfer {
  /// Bytes of a content, however many.
  /// - Throws: as `read`; `damaged` if the content ends before them.
  func readWhole(_ content: Content, _ range: Range<UInt64>) async throws -> [UInt8] {
    try await whole(range, of: "content \(content.id) of \(content.size) bytes") {
      try await read(content, $0)
    }
  }
}

/// Reads until all of a range is there.
private func whole(
  _ range: Range<UInt64>, of name: String, _ read: (Range<UInt64>) async throws -> [UInt8]
) async throws -> [UInt8] {
  var bytes: [UInt8] = []
  while bytes.count < range.count {
    let more = try await read(range.lowerBound + UInt64(bytes.count)..<range.upperBound)
    guard !more.isEmpty else { throw DFSError(.damaged, "\(name) ends too early") }
    if bytes.isEmpty, more.count == range.count { return more }
    bytes += more
  }
  return bytes
}
