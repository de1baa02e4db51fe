internal import DFSCore
internal import NIOCore

/// The bytes of all copies of a world: each part once, however many servers have it.
final class WorldContents {
  struct Part {
    let bytes: ByteBuffer
    let checksums: [BlockChecksum]
  }

  private var parts: [PartID: Part] = [:]
  /// Versions whose copies travel with the change.
  private(set) var small: Set<VersionID> = []

  subscript(_ id: PartID) -> Part? { parts[id] }

  /// All bytes of a content; nil if a part was never stored.
  func bytes(of content: Content) -> [UInt8]? {
    var bytes: [UInt8] = []
    for part in PartIndex.all where content.split.length(of: part) > 0 {
      guard let stored = parts[PartID(version: content.id, part: part)] else { return nil }
      bytes += stored.bytes.readableBytesView
    }
    return bytes.count == Int(content.size) ? bytes : nil
  }

  /// A copy travels with a change.
  /// - Returns: what is wrong with its bytes; nil if nothing is.
  func noteSmall(_ part: InlinePart) -> String? {
    small.insert(part.id.version)
    return note(part.id, ByteBuffer(bytes: part.bytes))
  }

  /// A copy was sent.
  /// - Returns: what is wrong with its bytes; nil if nothing is.
  func note(_ id: PartID, _ bytes: ByteBuffer) -> String? {
    if let known = parts[id] {
      return known.bytes == bytes ? nil : "a copy of \(id.brief) has other bytes than the first one"
    }
    parts[id] = Part(bytes: bytes, checksums: bytes.withUnsafeReadableBytes(BlockChecksum.blocks))
    return nil
  }
}
