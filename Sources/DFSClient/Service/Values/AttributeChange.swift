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
  /// When it was asked for, if that was long before: the time of change, unless that is later already.
  public var asked: Timestamp?
  /// A change of no field: it moves the time of change and nothing else.
  public init() {}

  /// A change of no field.
  public static let nothing = AttributeChange()

  /// This change and then a later one, as one; not of what is changed by reading.
  public func followed(by later: AttributeChange) -> AttributeChange {
    var both = self
    both.mode = later.mode ?? mode
    both.owner = later.owner ?? owner
    both.group = later.group ?? group
    both.accessed = later.accessed ?? accessed
    both.modified = later.modified ?? modified
    both.asked = later.asked
    return both
  }
}

extension Inode {
  /// As by a process, not by reading.
  public mutating func perform(_ change: AttributeChange, at time: Timestamp) {
    if let mode = change.mode { self.mode = mode & 0o7777 }
    if let owner = change.owner { self.owner = owner }
    if let group = change.group { self.group = group }
    if let accessed = change.accessed { self.accessed = accessed }
    if let modified = change.modified { self.modified = modified }
    changed = change.asked.map { max(changed, $0) } ?? time
  }
}

/// Sets an extended attribute in any case, only if it is new, or only if it is there (setxattr(2)).
public enum AttributeSetMode: Hashable, Sendable { case set, create, replace }
