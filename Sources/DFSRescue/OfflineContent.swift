internal import DFSCore
internal import DFSStore
internal import DFSSystem

/// One content, part after part in its order, from the copies of all directories; what was put together is
/// compared with its MD5.
///
/// Invariant: one piece of a part is in memory, whatever the size of the content.
struct OfflineContent {
  enum Outcome: Hashable {
    case whole
    case missing([PartIndex])
    /// Every part is proven, and still the whole is another content than the row says.
    case mismatched
  }

  /// Takes the place in the content, the bytes, and which of them no copy has: these are zeros.
  typealias Take = (
    _ offset: UInt64, _ bytes: UnsafeRawBufferPointer, _ gaps: [Range<UInt64>]
  ) throws -> Void

  let content: Content
  private var parts: [OfflinePart]

  init(_ content: Content, from users: [OfflineUser], note: (String) -> Void) {
    self.content = content
    parts = PartIndex.all.map { part in
      OfflinePart(
        PartID(version: content.id, part: part), length: content.split.length(of: part),
        digest: content.digest(of: part), from: users, note: note)
    }
  }

  /// Whether nothing can be had of one of its parts, or more.
  var lacksParts: Bool { parts.contains(where: \.isAbsent) }

  /// - Throws: what `take` throws; an interruption.
  mutating func read(
    _ progress: RescueProgress, note: (String) -> Void, take: Take
  ) throws -> Outcome {
    var hasher = MD5Hasher()
    var missing: [PartIndex] = []
    for index in parts.indices {
      let isWhole = try Self.read(
        &parts[index], from: content.split.range(of: parts[index].id.part).lowerBound, progress,
        note: note
      ) { offset, bytes, gaps in
        if missing.isEmpty { hasher.update(bytes) }
        try take(offset, bytes, gaps)
      }
      if !isWhole { missing.append(parts[index].id.part) }
    }
    guard missing.isEmpty else { return .missing(missing) }
    return hasher.finish() == content.md5 ? .whole : .mismatched
  }

  /// - Returns: whether no byte is missing.
  private static func read(
    _ part: inout OfflinePart, from start: UInt64, _ progress: RescueProgress,
    note: (String) -> Void, take: Take
  ) throws -> Bool {
    var isWhole = true
    let size = min(part.length, UInt64(OfflinePart.pieceBytes))
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: Int(size), alignment: 16)
    defer { buffer.deallocate() }
    for offset in stride(from: 0, to: part.length, by: UInt64.Stride(OfflinePart.pieceBytes)) {
      try progress.checkInterruption()
      let piece = UnsafeMutableRawBufferPointer(
        rebasing: buffer[..<Int(min(size, part.length - offset))])
      let gaps = part.read(piece, at: offset, note: note)
      if !gaps.isEmpty { isWhole = false }
      try take(
        start + offset, UnsafeRawBufferPointer(piece),
        gaps.map { start + $0.lowerBound..<start + $0.upperBound })
      progress.advance(UInt64(piece.count))
    }
    return isWhole
  }
}
