public import DFSCore

/// Whole blocks of one copy, as its server keeps them; each was compared with its checksum.
public struct CopyExtent: Hashable, Sendable {
  /// Each of `Limits.blockBytes`; the last of a part may be shorter.
  public let blocks: [[UInt8]]
  /// One for each of `blocks`, in the same order.
  public let checksums: [BlockChecksum]

  /// Blocks with their checksums; whoever read them has compared them.
  public init(blocks: [[UInt8]], checksums: [BlockChecksum]) {
    self.blocks = blocks
    self.checksums = checksums
  }

  /// The bytes of all blocks.
  public var byteCount: Int { blocks.reduce(0) { $0 + $1.count } }
}
