public import DFSCore

/// What a published content is of a file.
public enum PublishForm: Sendable {
  /// All of it.
  /// - Parameter appendedFrom: what is behind this place was written to the end, wherever that was, and nothing
  ///   else was changed: if others appended meanwhile, it goes behind what they wrote.
  case whole(appendedFrom: UInt64? = nil)
  /// What was written over a version, whose other bytes stay.
  case layer(Patch)
}

/// What was written over a version.
public struct Patch: Sendable {
  /// What it was written over; nil for nothing.
  public let below: Version?
  /// What was written: ascending and apart from each other, within `size`. Those that are no zeros are the
  /// published content, in their order.
  public let extents: [LayerExtent]
  /// The smallest size that the file had since `below`.
  public let cut: UInt64
  /// Bytes of the file now.
  public let size: UInt64
  /// It was written to the end, wherever that was: if others appended meanwhile, it goes behind what they wrote.
  public let isAppended: Bool
  /// It was written under locks: others may have written other bytes meanwhile, and it goes over those.
  public let isMerged: Bool

  /// Extents that were written over a version, of whose bytes those up to `cut` stay.
  public init(
    over below: Version?, _ extents: [LayerExtent], cut: UInt64, size: UInt64,
    isAppended: Bool = false, isMerged: Bool = false
  ) {
    self.below = below
    self.extents = extents
    self.cut = cut
    self.size = size
    self.isAppended = isAppended
    self.isMerged = isMerged
  }
}

/// What became of a publish.
public struct Published: Sendable {
  /// The file after the change.
  public let inode: Inode
  /// What was appended lies elsewhere than where it was written, behind what others did to the file.
  public let isMoved: Bool

  /// A file after a change, whose content lies where it was written, unless others appended.
  public init(_ inode: Inode, isMoved: Bool = false) {
    self.inode = inode
    self.isMoved = isMoved
  }
}
