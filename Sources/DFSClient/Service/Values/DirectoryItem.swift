public import DFSCore

/// An entry of a directory with the inode that it leads to.
public struct DirectoryItem: Hashable, Sendable {
  /// The entry's name in the directory.
  public let name: FileName
  /// The inode as it was when the directory was listed.
  public let inode: Inode

  /// The entry `name` that leads to `inode`.
  public init(name: FileName, inode: Inode) {
    self.name = name
    self.inode = inode
  }
}
