internal import DFSCore
internal import DFSSystem

/// Reads of a few bytes of a copy. Whole blocks are read and verified, as ever.
extension PartStore {
  /// Exactly these bytes of a copy that was read so lately, if that needs no waiting for the disk: for an event
  /// loop.
  /// - Parameter range: of at most one block's length.
  /// - Returns: nil if it cannot be done, or something is not as it should be: `bytes` says what.
  func bytesNow(_ id: PartID, _ range: Range<UInt64>) -> [UInt8]? {
    guard let part = keptOpen(path(of: id)) else { return nil }
    let layout = part.layout
    let blocks = layout.blocks(covering: range)
    let extent = layout.bytes(of: blocks)
    guard let checksums = layout.checksumsNow(part.file, blocks: blocks),
      let bytes = part.file.readNow(count: extent.count, at: extent.lowerBound),
      Checksums.firstMismatch(bytes, checksums) == nil
    else { return nil }
    return Self.cut(bytes, from: extent.lowerBound, to: range)
  }

  /// Exactly these bytes of a copy, whose file is kept open for the next such read; nil if the copy is not
  /// here as a file.
  func bytes(_ id: PartID, _ range: Range<UInt64>) throws(DFSError) -> [UInt8]? {
    let (path, mark) = (path(of: id), openFiles.mark)
    if let part = keptOpen(path) { return try bytes(part, range) }
    guard let part = try open(id) else { return nil }
    let found = try bytes(part, range)
    openFiles.keep(part, at: path, since: mark)
    return found
  }

  private func bytes(
    _ part: OpenPartFiles.Part, _ range: Range<UInt64>
  ) throws(DFSError) -> [UInt8] {
    let (extent, bytes) = try read(part, range: range)
    return Self.cut(bytes, from: extent.offset, to: range)
  }

  /// Nil if the file there is not the one that is kept open, or has another length.
  private func keptOpen(_ path: String) -> OpenPartFiles.Part? {
    guard let part = openFiles.part(path), Disk.identity(path) == part.identity else { return nil }
    return part
  }

  /// - Parameter bytes: of a part, from `start`.
  static func cut(_ bytes: [UInt8], from start: UInt64, to range: Range<UInt64>) -> [UInt8] {
    let wanted = range.clamped(to: start..<start + UInt64(bytes.count))
    return Array(bytes[Int(wanted.lowerBound - start)..<Int(wanted.upperBound - start)])
  }
}
