internal import DFSClient
internal import DFSCore

/// What the kernel asks with and what it is answered, as values: FileSystem knows no libfuse.

/// A name as the kernel knows it.
struct NodeName: Hashable, Sendable {
  let parent: InodeID
  let name: FileName
}

/// What `stat` shows: an inode, and the size of its content with what is written but not published.
struct Attributes: Hashable, Sendable {
  var inode: Inode
  /// Bytes.
  var size: UInt64
  /// Bytes of it that are no holes, or more.
  var stored: UInt64
  /// For how long the kernel may keep them.
  var lifetime: Lifetime
  /// Not at all: they are for who asks, while handles read another version.
  var isForCallerOnly = false

  init(_ inode: Inode, lifetime: Lifetime = .brief) {
    self.inode = inode
    self.size = inode.size
    stored = inode.version?.storedBytes ?? inode.size
    self.lifetime = lifetime
  }
}

/// An inode under a name; the kernel counts each as one lookup until it forgets.
struct Entry: Hashable, Sendable {
  /// Nil for a file that has no name yet.
  let name: NodeName?
  let attributes: Attributes
  /// Another name that the kernel has for it, and that is none any more.
  var lost: NodeName?
  /// For this call only: the kernel asks again before it uses the name another time.
  var isForThisCall = false

  var lookup: (id: InodeID, name: NodeName?) { (attributes.inode.id, name) }
}

/// What the kernel asks for by the number of an inode that it has forgotten, or not seen yet: somebody has
/// a handle of it (open_by_handle_at(2), an NFS server).
enum WantedByNumber: Hashable, Sendable {
  case inode
  /// The directory that a directory is in.
  case parent

  /// - Parameter name: nil is returned for those of entries.
  init?(name: [UInt8]) {
    switch name {
    case [UInt8(ascii: ".")]: self = .inode
    case [UInt8(ascii: "."), UInt8(ascii: ".")]: self = .parent
    default: return nil
    }
  }
}

/// An open file or directory.
struct Opened: Hashable, Sendable {
  let handle: UInt64
  /// The pages that the kernel has of this file are those of this version.
  var keepCache = false
  /// Reads must not go through the kernel's pages.
  var isDirect = false
  /// Closing it stores nothing: the kernel need not tell each close(2), only the last.
  var isNothingStored = false
}

/// The entries of an open directory from some place on; as many as fit are packed.
struct DirectoryPage: Sendable {
  struct Item: Sendable {
    let name: [UInt8]
    var attributes: Attributes
    /// The name to remember; nil for `.` and `..`, and where the kernel is to ask for it.
    var entry: NodeName?
    /// Positive, and greater than those before: the kernel goes on after the last that fitted.
    let place: Int
  }
  let items: ArraySlice<Item>
  /// Bytes that the kernel takes.
  let size: Int
  let withAttributes: Bool
}

/// What `setattr` asks to change.
struct AttributeRequest: Sendable {
  let change: AttributeChange
  /// Bytes.
  let size: UInt64?

  /// - Parameter mode: of which only the permissions count.
  init(
    size: UInt64?, mode: UInt32?, owner: UInt32?, group: UInt32?, accessed: Timestamp?,
    modified: Timestamp?
  ) {
    self.size = size
    var change = AttributeChange()
    change.mode = mode.map { $0 & 0o7777 }
    change.owner = owner
    change.group = group
    change.accessed = accessed
    change.modified = modified
    self.change = change
  }
}
