internal import DFSConfiguration
internal import DFSCore
internal import DFSSystem
internal import Synchronization

/// Reading: ranges of a version, from one copy of each part.
extension Transfer {
  /// Bytes of a version, verified; `range` is clamped to the size, and to 1 MiB.
  /// - Throws: `incomplete`, naming the parts and servers, if a part is on no server that is up;
  ///   `damaged` if no good copy is left; `timedOut`.
  func read(_ version: Content, _ range: Range<UInt64>) async throws -> [UInt8] {
    let start = min(range.lowerBound, version.size)
    let end = min(range.upperBound, version.size)
    let range = start..<min(end, start + UInt64(Limits.chunkBytes))
    guard !range.isEmpty else { return [] }
    let patient = cluster.environment.now + ServerState.patience(within: callTimeout)
    while true {
      do throws(DFSError) {
        return try await readOnce(version, range)
      } catch {
        // Who was just lost may be starting again.
        guard error.code == .incomplete || error.code == .disconnected,
          cluster.environment.now < patient,
          cluster.states().contains(where: \.mayReturn), !Task.isCancelled
        else { throw error }
      }
      await cluster.reconnect()
      try? await cluster.environment.sleep(for: .milliseconds(50))
    }
  }

  private func readOnce(
    _ version: Content, _ range: Range<UInt64>
  ) async throws(DFSError) -> [UInt8] {
    let pieces = version.split.pieces(of: range)
    try checkFound(pieces.map(\.part), of: version)
    if version.split.isInline {
      let blocks = try await readSmall(version, pieces.map(\.part))
      return Self.joined(pieces, blocks.map { [$0] }, count: range.count)
    }
    switch readAhead.accessed(range, of: version) {
    case .stream(let ahead?):
      // What is asked for now goes first.
      loadAhead(version, range)
      loadAhead(version, ahead)
    case .apart where pieces.count == 1:
      if let bytes = await readBytes(version, pieces[0]) { return bytes }
    case .stream, .near, .apart: break
    }
    return try await read(version, pieces, count: range.count)
  }

  private func read(_ version: Content, _ pieces: [Split.Piece], count: Int) async throws(DFSError)
    -> [UInt8]
  {
    var blocks: [[[UInt8]]] = []
    if let only = pieces.first, pieces.count == 1 {
      blocks = [try await load(version, only).get()]
    } else {
      for result in await load(version, pieces) { blocks.append(try result.get()) }
    }
    return Self.joined(pieces, blocks, count: count)
  }

  /// Several pieces at once, in their order.
  private func load(
    _ version: Content, _ pieces: [Split.Piece]
  ) async -> [Result<[[UInt8]], DFSError>] {
    await withTaskGroup(
      of: (Int, Result<[[UInt8]], DFSError>).self
    ) { group -> [Result<[[UInt8]], DFSError>] in
      for (index, piece) in pieces.enumerated() {
        group.addTask { (index, await load(version, piece)) }
      }
      var found = Array(
        repeating: Result<[[UInt8]], DFSError>.failure(.cancelled), count: pieces.count)
      for await (index, result) in group { found[index] = result }
      return found
    }
  }

  /// The whole blocks that cover a piece.
  ///
  /// A function of its own on purpose: where the closure of `addTask` itself catches the typed error
  /// and returns a tuple with the result, Swift 6.3.1 with -O makes code that crashes (found by fsx).
  private func load(
    _ version: Content, _ piece: Split.Piece
  ) async -> Result<[[UInt8]], DFSError> {
    do throws(DFSError) {
      let id = PartID(version: version.id, part: piece.part)
      return .success(
        try await blocks.blocks(id, piece.blocks, load: loader(version, piece.part)))
    } catch {
      return .failure(error)
    }
  }

  private func loader(
    _ version: Content, _ part: PartIndex
  ) -> @Sendable (Range<Int>) async throws(DFSError) -> [[UInt8]] {
    { (blocks: Range<Int>) async throws(DFSError) -> [[UInt8]] in
      try await PartFetch(transfer: self, version: version, part: part, blocks: blocks).run()
    }
  }

  private func loadAhead(_ version: Content, _ range: Range<UInt64>) {
    for piece in version.split.pieces(of: range) {
      blocks.loadAhead(
        PartID(version: version.id, part: piece.part), piece.blocks,
        load: loader(version, piece.part))
    }
  }

  /// The bytes of consecutive pieces, of each of which the blocks that cover it are here.
  private static func joined(
    _ pieces: [Split.Piece], _ blocks: [[[UInt8]]], count: Int
  ) -> [UInt8] {
    var bytes: [UInt8] = []
    bytes.reserveCapacity(count)
    for (piece, blocks) in zip(pieces, blocks) { append(blocks, of: piece, to: &bytes) }
    return bytes
  }

  private static func append(_ blocks: [[UInt8]], of piece: Split.Piece, to bytes: inout [UInt8]) {
    let blockBytes = UInt64(Limits.blockBytes)
    for (block, index) in zip(blocks, piece.blocks) {
      let start = UInt64(index) * blockBytes
      let wanted = piece.range.clamped(to: start..<start + UInt64(block.count))
      bytes += block[Int(wanted.lowerBound - start)..<Int(wanted.upperBound - start)]
    }
  }

  /// Says at once, and of all parts that are asked for, what is on no server that is up.
  private func checkFound(_ parts: [PartIndex], of version: Content) throws(DFSError) {
    let missing = version.placement.missingParts(on: cluster.reachable).filter(parts.contains)
    guard !missing.isEmpty else { return }
    let problems = cluster.states().filter { state in
      missing.contains { version.placement.holders(of: $0).contains(state.server) }
    }
    let names = missing.map { part in
      "part \(part) (on \(version.placement.holders(of: part)))"
    }
    throw DFSError(
      .incomplete,
      "\(names.joined(separator: ", ")) cannot be found, because these servers are not up: "
        + problems.map { $0.problem?.description ?? $0.address.name }.joined(separator: "; "))
  }
}

extension Split.Piece {
  /// The numbers of the blocks that cover the piece.
  var blocks: Range<Int> {
    let bytes = UInt64(Limits.blockBytes)
    return Int(range.lowerBound / bytes)..<Int((range.upperBound + bytes - 1) / bytes)
  }
}

/// The read-ahead of the versions that were read lately.
final class ReadAheads: Sendable {
  private static let versionsLimit = 64

  private struct State {
    var versions: [VersionID: (ahead: ReadAhead, lastUse: UInt64)] = [:]
    var clock: UInt64 = 0
  }

  private let windowLimit: UInt64
  private let state = Mutex(State())

  init(cacheBytes: Int) { windowLimit = UInt64(min(4 << 20, cacheBytes / 4)) }

  func accessed(_ range: Range<UInt64>, of version: Content) -> ReadAhead.Access {
    state.withLock { state in
      state.clock += 1
      var entry = state.versions[version.id] ?? (ReadAhead(windowLimit: windowLimit), 0)
      defer {
        entry.lastUse = state.clock
        state.versions[version.id] = entry
        if state.versions.count > Self.versionsLimit,
          let oldest = state.versions.min(by: { $0.value.lastUse < $1.value.lastUse })
        {
          state.versions[oldest.key] = nil
        }
      }
      return entry.ahead.accessed(range, size: version.size)
    }
  }
}
