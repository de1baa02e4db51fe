internal import DFSCore
internal import Glibc

/// What the kernel asks for, one case for each kind of request; the compiler asks here for all that
/// is to be known of a new one. `Fuse/` translates the arguments, `FileSystem` has a method for each.
enum Operation: String, Sendable {
  // Names.
  case lookup, mkdir, mknod, symlink, link, unlink, rmdir, rename
  // Attributes.
  case getattr, setattr, readlink, statfs, getxattr, listxattr, setxattr, removexattr
  // Files.
  case create, tmpfile, open, read, write, close, fsync, release
  /// An open that changes the file, or may.
  case openToWrite = "open to write"
  /// A read of little.
  case smallRead = "small read"
  // Ranges of files.
  case fallocate, lseek
  case copyFileRange = "copy_file_range"
  // Locks.
  case getlk, setlk
  /// Waits for a lock.
  case setlkw
  // Directories.
  case opendir, readdir, readdirplus, releasedir, fsyncdir

  /// What an operation does to the file system.
  enum Effect: Sendable {
    /// Changes nothing.
    case query
    case change
    /// Stores what was written, and goes on though its process be killed.
    case store
    /// Waits for others, as long as it takes, until a signal comes.
    case wait
    /// Ends what was begun; nobody waits for its answer, and it is never answered before its end.
    case end
  }

  var effect: Effect {
    switch self {
    case .lookup, .getattr, .readlink, .statfs, .getxattr, .listxattr, .open, .read, .smallRead,
      .lseek, .opendir, .readdir, .readdirplus, .releasedir, .fsyncdir, .getlk, .setlk:
      .query
    case .setlkw: .wait
    case .mkdir, .mknod, .symlink, .link, .unlink, .rmdir, .rename, .setattr, .setxattr,
      .removexattr, .create, .tmpfile, .openToWrite, .write, .fallocate, .copyFileRange:
      .change
    case .close, .fsync: .store
    case .release: .end
    }
  }

  /// What an operation is to the system call that it is a part of.
  enum Role: Sendable {
    /// It resolves a name.
    case name
    /// The kernel may ask for it on the way, while it resolves a path.
    case question
    /// It is what the call is for, and ends it.
    case purpose
  }

  var role: Role {
    switch self {
    case .lookup: .name
    case .getattr, .readlink, .getxattr, .listxattr, .statfs: .question
    case .mkdir, .mknod, .symlink, .link, .unlink, .rmdir, .rename, .setattr, .setxattr,
      .removexattr, .create, .tmpfile, .open, .openToWrite, .read, .smallRead, .write, .close,
      .fsync, .release, .fallocate, .lseek, .copyFileRange, .opendir, .readdir, .readdirplus,
      .releasedir, .fsyncdir, .getlk, .setlk, .setlkw:
      .purpose
    }
  }

  var isChange: Bool { effect != .query && effect != .wait }

  /// Whether it does nothing that takes long but ask servers: it may go on where their answers come in.
  var isShort: Bool {
    switch self {
    case .lookup, .mkdir, .mknod, .symlink, .unlink, .rmdir, .rename, .getattr, .readlink, .statfs,
      .getxattr, .listxattr, .setxattr, .removexattr, .create, .open, .smallRead:
      true
    // They read, hash or store contents, or list directories.
    case .link, .setattr, .tmpfile, .openToWrite, .read, .write, .close, .fsync, .release,
      .fallocate, .lseek, .copyFileRange, .opendir, .readdir, .readdirplus, .releasedir, .fsyncdir,
      .getlk, .setlk, .setlkw:
      false
    }
  }

  /// - Parameter flags: of open(2).
  static func opening(flags: Int32) -> Self {
    flags & (O_ACCMODE | O_TRUNC) == O_RDONLY ? .open : .openToWrite
  }

  static func reading(bytes: Int) -> Self { bytes <= smallReadBytes ? .smallRead : .read }

  private static let smallReadBytes = 64 << 10

  /// As the log names it.
  var name: String {
    switch self {
    case .openToWrite: Self.open.rawValue
    case .smallRead: Self.read.rawValue
    default: rawValue
    }
  }
}

/// The answer to one operation.
enum Reply: Sendable {
  case done
  case entry(Entry)
  case created(Entry, Opened)
  /// The file that was asked for had this name; the kernel does not know yet that it lost it, and
  /// is to ask for that again, then for the new one.
  case renamed(from: NodeName)
  /// The kernel is to look up anew what it was given, and make the call again.
  case again
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
  case space(SpaceInBlocks)
  case value([UInt8])
  /// How long the value is.
  case valueLength(Int)
  /// A lock that is in the way; nil: none is.
  case lock(FileLock?)
  /// A lock was set.
  case locked(InodeID, FileLock)

  /// The compiler asks here what the kernel does with a new answer, and with which errno it is sent.
  var delivery: Delivery {
    switch self {
    case .entry(let entry):
      Delivery(lookup: entry.lookup, lost: entry.lost, told: entry.attributes)
    case .created(let entry, let opened):
      Delivery(
        lookup: entry.lookup, handle: opened.handle, lost: entry.lost, told: entry.attributes)
    case .attributes(let attributes): Delivery(told: attributes)
    case .opened(let opened): Delivery(handle: opened.handle)
    case .renamed(let name): Delivery(lost: name, isAskedAgain: true)
    case .again: Delivery(isAskedAgain: true)
    // Which entries of a directory it is told is known when they are packed.
    case .directory: Delivery()
    case .done, .target, .data, .written, .position, .space, .value, .valueLength, .lock, .locked:
      Delivery()
    }
  }

  /// Nil for an answer that has a content.
  var errno: Int32? {
    switch self {
    case .done, .locked: 0
    case .renamed, .again: ESTALE
    case .position(nil): ENXIO
    case .position, .entry, .created, .opened, .directory, .attributes, .target, .data, .written,
      .space, .value, .valueLength, .lock:
      nil
    }
  }
}

/// What the kernel does with an answer, besides telling it.
struct Delivery: Sendable {
  /// It counts the inode as looked up once more under that name.
  var lookup: (id: InodeID, name: NodeName?)?
  /// It has that open until it releases it.
  var handle: UInt64?
  /// A name that it is to ask for again: it is none any more.
  var lost: NodeName?
  /// It makes the call a second time.
  var isAskedAgain = false
  /// It takes these for the attributes of the inode.
  var told: Attributes?
}
