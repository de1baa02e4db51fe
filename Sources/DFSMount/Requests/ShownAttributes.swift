internal import DFSCore

/// Whom files are shown to belong to.
struct Ownership: Hashable, Sendable {
  /// Nil: whom the namespace says.
  let user: UInt32?
  let group: UInt32?
  let mask: UInt32
}

/// What `stat` shows of an inode, where that is not what the namespace says.
struct ShownAttributes: Sendable {
  /// Type and permissions.
  let mode: UInt32
  let user: UInt32
  let group: UInt32
  /// Of 512 bytes.
  let blocks: UInt64
  /// Bytes that programs read at once.
  static let preferredBytes = 128 << 10

  init(_ attributes: Attributes, _ ownership: Ownership) {
    let inode = attributes.inode
    mode = inode.kind.fileType | inode.mode & ~ownership.mask
    user = ownership.user ?? inode.owner
    group = ownership.group ?? inode.group
    blocks = (min(attributes.size, attributes.stored) + 511) / 512
  }
}
