public import DFSCore

/// What a rename does where the new name is taken, or must be.
public enum RenameMode: Hashable, Sendable {
  /// Replaces what has the new name.
  case replace
  /// Fails with `exists` if the new name is taken.
  case noReplace
  /// Both names change places; fails with `notFound` if the new name is free.
  case exchange
}

/// What a rename found, each as it was before.
public struct Renamed: Hashable, Sendable {
  /// What had the old name.
  public let moved: Inode
  /// What had the new name: it lost it, or has the old one (`exchange`).
  public let other: Inode?

  /// What a rename moved, and what it found; `other` is nil if the new name was free.
  public init(moved: Inode, other: Inode?) {
    self.moved = moved
    self.other = other
  }
}
