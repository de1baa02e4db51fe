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
  /// Handles of this file read another version: the kernel, which has one size for all of them, asks
  /// again before each read.
  var isPassing = false
  /// `FileService.changes` when the inode was asked for: it is true as long as that is the same. Nil
  /// if it may change without that: it is open here, or changes may not be heard of.
  var knownAt: UInt64?

  init(_ inode: Inode) {
    self.inode = inode
    self.size = inode.size
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
  var isPassing = false
}

/// An open file or directory.
struct Opened: Hashable, Sendable {
  let handle: UInt64
  /// The pages that the kernel has of this file are those of this version.
  var keepCache = false
  /// Reads must not go through the kernel's pages.
  var isDirect = false
}

/// The entries of an open directory from some place on; as many as fit are packed.
struct DirectoryPage: Sendable {
  struct Item: Sendable {
    let name: [UInt8]
    var attributes: Attributes
    /// The name to remember; nil for `.` and `..`, and where the kernel is to ask for it.
    var entry: NodeName?
  }
  /// Their indices are their places in the directory: the kernel continues after the last that fitted.
  let items: ArraySlice<Item>
  /// Bytes that the kernel takes.
  let size: Int
  let withAttributes: Bool
}

/// The answer to one operation.
enum Reply: Sendable {
  case done
  case entry(Entry)
  case created(Entry, Opened)
  /// The file that was asked for had this name; the kernel does not know yet that it lost it, and
  /// is to ask for that again, then for the new one.
  case renamed(from: NodeName)
  case attributes(Attributes)
  case opened(Opened)
  case target([UInt8])
  /// Consecutive pieces of a content.
  case data([ArraySlice<UInt8>])
  /// Bytes taken.
  case written(Int)
  /// A place in a file; nil: there is none before its end.
  case position(UInt64?)
  case directory(DirectoryPage)
  case space(SpaceReport)
  /// A value, to be given if it fits `limit` bytes; a limit of 0 asks for its length.
  case value([UInt8], limit: Int)
}

/// What `setattr` asks to change.
struct AttributeRequest: Sendable {
  var change = AttributeChange()
  /// Bytes.
  var size: UInt64?
}
