public import DFSCore

/// Where a published content goes.
public enum PublishTarget: Sendable {
  /// To this inode. `modified` becomes its time of modification, and `changed`, when the content was
  /// written last, its time of change, unless that is later already. If it has another version than
  /// `opened` says, that is kept as a file of its own. If another client removed the inode, the
  /// content becomes the file of its own, with the attributes that `opened` says: that is returned.
  /// `attributes` are changed with it, but for the time of modification.
  /// - Throws: `staleHandle` if this client removed the inode, or `opened` says no attributes.
  case inode(
    InodeID, modified: Timestamp, changed: Timestamp, attributes: AttributeChange = .nothing,
    opened: OpenedVersion? = nil)
  /// Under this name, replacing a regular file of that name or making a new one.
  case name(parent: InodeID, FileName, NewInode)
  /// As the content of an inode that was reserved, which gets its attributes, and its first name.
  /// - Throws: `exists` if the name is taken.
  case nameless(
    Inode, [AttributeName: [UInt8]], modified: Timestamp, parent: InodeID, FileName)
}

/// What whoever publishes a content began from, and as what a content is kept that others published
/// meanwhile: `NAME (conflict HOST DATE)` in the same directory.
public struct OpenedVersion: Hashable, Sendable {
  /// Nil if the file had none.
  public let version: VersionID?
  /// The directory of the conflict copy; the root, if it is gone by then.
  public let parent: InodeID
  /// The name that the conflict copy's begins with.
  public let name: FileName
  /// The machine that publishes.
  public let host: String
  /// As what the content is kept if there is no such file any more; nil: then it is not.
  public let attributes: NewInode?

  /// A file `name` in `parent` that was opened with this version.
  public init(
    version: VersionID?, parent: InodeID, name: FileName, host: String,
    attributes: NewInode? = nil
  ) {
    self.version = version
    self.parent = parent
    self.name = name
    self.host = host
    self.attributes = attributes
  }
}
