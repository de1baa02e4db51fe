public import DFSCore
internal import Glibc

/// An open directory of this machine into which a tree is written that a user or a server made up:
/// `dfc get -r` and `dfs rescue` write through this and nothing else.
///
/// Invariants:
/// - Everything is made relative to the open directory, under a `FileName`, and no symbolic link in it is
///   followed (openat(2), O_NOFOLLOW): no name and no link of the tree leads out of it.
/// - What is made is new. Only `replace` takes the place of what has a name, and of a link itself, not of
///   what it leads to.
public final class OutputDirectory: Sendable {
  /// The open directory, for reading; it is closed when this object goes.
  public let descriptor: Int32
  /// As `ByteText` has it; for messages.
  public let path: String

  /// Takes over an open descriptor.
  public init(owning descriptor: Int32, path: String) {
    self.descriptor = descriptor
    self.path = path
  }

  deinit { close(descriptor) }

  /// Opens the directory that a person named. Links on the way there are that person's.
  public static func open(_ path: String) throws(DFSError) -> OutputDirectory {
    let descriptor = Glibc.open(path.systemPath, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    guard descriptor >= 0 else { throw failure("opening", path, errno) }
    return OutputDirectory(owning: descriptor, path: path)
  }

  /// A tree takes a descriptor for each level that is open: as many as this process may have.
  public static func raiseDescriptorLimit() {
    var limit = rlimit()
    guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { return }
    limit.rlim_cur = limit.rlim_max
    _ = setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
  }

  /// The path of what has a name here, for messages.
  public func place(_ name: FileName) -> String {
    (path.hasSuffix("/") ? path : path + "/") + name.text
  }

  /// Calls `body` with the name as C has it.
  private func check(
    _ verb: String, _ name: FileName, _ body: (UnsafePointer<CChar>) -> Int32
  ) throws(DFSError) -> Int32 {
    let result = name.text.systemPath.withUnsafeBufferPointer { buffer in
      buffer.baseAddress.map(body) ?? -1
    }
    guard result < 0 else { return result }
    throw Self.failure(verb, place(name), errno)
  }

  /// What a file system refuses for one object, whatever else it takes.
  private static let concernsOne: Set<Int32> = [
    EEXIST, EILSEQ, EINVAL, EISDIR, ELOOP, EMFILE, EMLINK, ENAMETOOLONG, ENOTDIR, ENOTEMPTY,
    EOPNOTSUPP, EPERM,
  ]

  private static func failure(_ verb: String, _ path: String, _ number: Int32) -> DFSError {
    let code = concernsOne.contains(number) ? .unsupported : DFSError.Code(systemError: number)
    return DFSError(code, "\(verb) \(path.printable): \(String(cString: strerror(number)))")
  }

  // MARK: Making

  /// - Parameters:
  ///   - mode: the permission bits of a new one; the process's mask is taken from them.
  ///   - keepsExisting: a directory that is there already is kept as it is; a link to one is refused.
  public func makeDirectory(
    _ name: FileName, mode: UInt32 = 0o700, keepsExisting: Bool = false
  ) throws(DFSError) -> OutputDirectory {
    _ = try check("making", name) {
      let result = mkdirat(descriptor, $0, mode)
      return result != 0 && errno == EEXIST && keepsExisting ? 0 : result
    }
    let made = try check("opening the directory", name) {
      openat(descriptor, $0, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
    }
    return OutputDirectory(owning: made, path: place(name))
  }

  /// - Returns: a descriptor for reading and writing, which the caller closes.
  public func makeFile(_ name: FileName, mode: UInt32 = 0o600) throws(DFSError) -> Int32 {
    let flags = O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC
    return try check("making", name) { openat(descriptor, $0, flags, mode) }
  }

  /// Makes a symbolic link with the bytes of `target`, wherever they lead (symlinkat(2)).
  /// - Throws: `damaged` if `target` is empty or has a NUL, `unsupported` if the name is taken.
  public func makeSymlink(_ name: FileName, target: [UInt8]) throws(DFSError) {
    guard !target.isEmpty, !target.contains(0) else {
      throw DFSError(.damaged, "its target of \(target.count) bytes is none that a link can have")
    }
    let text = (target + [0]).map(CChar.init(bitPattern:))
    _ = try check("making the link", name) { symlinkat(text, descriptor, $0) }
  }

  /// A fifo, a socket or a device.
  public func makeNode(_ name: FileName, _ inode: Inode) throws(DFSError) {
    let kind: mode_t =
      switch inode.kind {
      case .fifo: S_IFIFO
      case .socket: S_IFSOCK
      case .characterDevice: S_IFCHR
      default: S_IFBLK
      }
    _ = try check("making", name) { mknodat(descriptor, $0, kind | 0o600, dev_t(inode.device)) }
  }

  /// Gives what is `old` in `other` the name `name` here, too.
  public func makeLink(
    _ name: FileName, to old: FileName, in other: OutputDirectory
  ) throws(DFSError) {
    let source = old.text.systemPath
    _ = try check("linking", name) { linkat(other.descriptor, source, descriptor, $0, 0) }
  }

  /// Removes a name, though not that of a directory (unlinkat(2)).
  public func remove(_ name: FileName) throws(DFSError) {
    _ = try check("removing", name) { unlinkat(descriptor, $0, 0) }
  }

  /// Removes a directory, which must be empty.
  public func removeDirectory(_ name: FileName) throws(DFSError) {
    _ = try check("removing", name) { unlinkat(descriptor, $0, AT_REMOVEDIR) }
  }

  // MARK: Replacing

  /// What has a name here.
  public enum Occupant: Hashable, Sendable {
    /// A file with these permission bits.
    case file(mode: UInt32)
    case link, directory
    /// A fifo, a socket or a device.
    case special
  }

  /// What has the name, without following a link; nil if the name is free.
  public func occupant(_ name: FileName) throws(DFSError) -> Occupant? {
    var status = stat()
    let result = fstatat(descriptor, name.text.systemPath, &status, AT_SYMLINK_NOFOLLOW)
    if result != 0, errno == ENOENT { return nil }
    guard result == 0 else { throw Self.failure("looking at", place(name), errno) }
    return switch status.st_mode & S_IFMT {
    case S_IFREG: .file(mode: status.st_mode & 0o777)
    case S_IFLNK: .link
    case S_IFDIR: .directory
    default: .special
    }
  }

  /// Gives what has the name `temporary` the name `name`, in the place of the file or link that has it.
  public func replace(_ name: FileName, with temporary: FileName) throws(DFSError) {
    switch try occupant(name) {
    case nil, .file, .link: break
    case .directory, .special:
      throw DFSError(
        .exists,
        "\(place(name).printable) is there and is not a file; move it away, or name another place")
    }
    let source = temporary.text.systemPath
    _ = try check("naming", name) { renameat(descriptor, source, descriptor, $0) }
  }

  /// Brings the names in it to stable storage.
  public func sync() throws(DFSError) {
    guard fsync(descriptor) == 0 else {
      throw Self.failure("bringing to stable storage", path, errno)
    }
  }

  // MARK: What it is like

  /// Owner, permission bits and times of what is neither a file nor a directory.
  public func setAttributes(
    _ name: FileName, _ inode: Inode, _ rights: OutputRights
  ) throws(DFSError) {
    if rights.setsOwners {
      _ = try check("giving to its owner", name) {
        fchownat(descriptor, $0, inode.owner, inode.group, AT_SYMLINK_NOFOLLOW)
      }
    }
    if inode.kind != .symlink {
      _ = try check("setting the permissions of", name) {
        fchmodat(descriptor, $0, rights.mode(of: inode), AT_SYMLINK_NOFOLLOW)
      }
    }
    let times = Timestamp.systemTimes(inode)
    _ = try check("setting the times of", name) {
      utimensat(descriptor, $0, times, AT_SYMLINK_NOFOLLOW)
    }
  }
}

extension Timestamp {
  fileprivate var system: timespec { timespec(tv_sec: seconds, tv_nsec: fraction) }

  /// As utimensat(2) takes them.
  static func systemTimes(_ inode: Inode) -> [timespec] {
    [inode.accessed.system, inode.modified.system]
  }
}
