public import DFSCore

/// What to change of an inode; nil leaves a field alone.
public struct AttributeChange: Hashable, Sendable {
  /// The permission bits; other bits are dropped.
  public var mode: UInt32?
  /// The user id of the owner.
  public var owner: UInt32?
  /// The group id of the object.
  public var group: UInt32?
  /// The time of access.
  public var accessed: Timestamp?
  /// The time of modification.
  public var modified: Timestamp?
  /// By reading: `accessed` is set only if the time of access is still this one, and the time of
  /// change stays.
  public var accessedBefore: Timestamp?
  /// A change of no field: it moves the time of change and nothing else.
  public init() {}
}

extension Inode {
  /// As by a process, not by reading.
  public mutating func perform(_ change: AttributeChange, at time: Timestamp) {
    if let mode = change.mode { self.mode = mode & 0o7777 }
    if let owner = change.owner { self.owner = owner }
    if let group = change.group { self.group = group }
    if let accessed = change.accessed { self.accessed = accessed }
    if let modified = change.modified { self.modified = modified }
    changed = time
  }
}

/// Sets an extended attribute in any case, only if it is new, or only if it is there (setxattr(2)).
public enum AttributeSetMode: Hashable, Sendable { case set, create, replace }
