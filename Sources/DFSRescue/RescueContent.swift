internal import DFSCore
internal import DFSStore
internal import DFSSystem

/// The content of one version, part after part in the order of the file, from the copies of all
/// directories; what was put together is compared with the MD5 in the row.
///
/// Invariant: one piece of a part is in memory, whatever the size of the file.
struct RescueContent {
  enum Outcome: Hashable {
    case whole
    case missing([PartIndex])
    /// Every part is proven, and still the whole is another content than the row says.
    case mismatched
  }

  let users: [OfflineUser]
  let keepsPartial: Bool
  let progress: RescueProgress
  let note: (String) -> Void

  /// Writes the content to `file`. Where a part is missing, `file` has zeros, or nothing is written
  /// if it is not to be kept.
  /// - Throws: what `file` refuses; an interruption.
  func write(_ version: Content, to file: File) throws -> Outcome {
    let parts = PartIndex.all.map { part in
      OfflinePart(
        PartID(version: version.id, part: part), length: version.split.length(of: part),
        digest: version.digest(of: part), from: users, note: note)
    }
    let isWritten = keepsPartial || !parts.contains(where: \.isAbsent)
    var hasher = MD5Hasher()
    var missing: [PartIndex] = []
    for part in parts {
      let start = version.split.range(of: part.id.part).lowerBound
      let isWhole = try read(part) { offset, bytes, isWhole in
        hasher.update(bytes)
        if isWritten, isWhole { try file.write(bytes, at: start + offset) }
      }
      if !isWhole { missing.append(part.id.part) }
    }
    guard missing.isEmpty else {
      if isWritten { try file.setLength(version.size) }
      return .missing(missing)
    }
    return hasher.finish() == version.md5 ? .whole : .mismatched
  }

  /// - Parameter take: the offset within the part, the bytes, and whether there are some that no
  ///   copy has (they are zeros).
  /// - Returns: whether no byte is missing.
  private func read(
    _ part: OfflinePart,
    take: (_ offset: UInt64, _ bytes: UnsafeRawBufferPointer, _ isPresent: Bool) throws -> Void
  ) throws -> Bool {
    guard !part.isAbsent else {
      progress.advance(part.length)
      return false
    }
    var part = part
    var isWhole = true
    let size = UInt64(min(part.length, UInt64(OfflinePart.pieceBytes)))
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: Int(size), alignment: 16)
    defer { buffer.deallocate() }
    for offset in stride(from: 0, to: part.length, by: UInt64.Stride(OfflinePart.pieceBytes)) {
      try progress.checkInterruption()
      let piece = UnsafeMutableRawBufferPointer(
        rebasing: buffer[..<Int(min(size, part.length - offset))])
      let gaps = part.read(piece, at: offset, note: note)
      if !gaps.isEmpty { isWhole = false }
      let isPresent = gaps.reduce(0) { $0 + $1.count } < piece.count
      try take(offset, UnsafeRawBufferPointer(piece), isPresent)
      progress.advance(UInt64(piece.count))
    }
    return isWhole
  }
}
