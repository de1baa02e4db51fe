public import DFSCore

/// The attributes of an object to be made.
public struct NewInode: Hashable, Sendable {
  /// What is to be made; a regular file begins without a content.
  public var kind: FileKind
  /// The permission bits; other bits are dropped.
  public var mode: UInt32
  /// The user id of the owner.
  public var owner: UInt32
  /// The group id of the object.
  public var group: UInt32
  /// The device number of a device file; 0 for others.
  public var device: UInt64 = 0
  /// The target of a symbolic link, 1 to 4,095 bytes; empty for others.
  public var target: [UInt8] = []

  /// An object that is neither a device nor a symbolic link, until those fields are set.
  public init(kind: FileKind, mode: UInt32, owner: UInt32, group: UInt32) {
    self.kind = kind
    self.mode = mode
    self.owner = owner
    self.group = group
  }
}
