internal import CLinux
internal import DFSCore
internal import Glibc

/// A directory that a rescue made or was given empty, and what can be made in it.
///
/// Invariants:
/// - Everything is made relative to the open directory, under a `FileName`, and only where nothing
///   has that name: no name and no symbolic link leads out of it.
/// - Until `RescueTree` is done with it, only its owner can look in.
final class OutputDirectory {
  let file: File
  var path: String { file.path }

  private init(_ file: File) { self.file = file }

  /// Opens `path`, which must be an empty directory, or makes it.
  static func root(_ path: String) throws(DFSError) -> OutputDirectory {
    if mkdir(path, 0o700) != 0 {
      guard errno == EEXIST else {
        let hint = errno == ENOENT ? "; make the directory above it first" : ""
        throw DFSError(
          .configuration,
          "\(path.printable) cannot be made: \(String(cString: strerror(errno)))\(hint)")
      }
      guard FileSystem.isDirectory(path), try FileSystem.names(in: path)?.isEmpty == true else {
        throw DFSError(
          .exists, "\(path.printable) is not an empty directory; name an empty or a new one")
      }
    }
    return OutputDirectory(try File(path, flags: O_RDONLY | O_DIRECTORY))
  }

  private func place(_ name: FileName) -> String { "\(path)/\(name)" }

  /// Calls `body` with the name as C has it.
  private func check(
    _ verb: String, _ name: FileName, _ body: (UnsafePointer<CChar>) -> Int32
  ) throws(DFSError) -> Int32 {
    let text = (name.bytes + [0]).map(CChar.init(bitPattern:))
    let result = text.withUnsafeBufferPointer { buffer in
      buffer.baseAddress.map(body) ?? -1
    }
    guard result < 0 else { return result }
    let number = errno
    guard Self.concernsOne.contains(number) else { throw .system(verb, place(name), errno: number) }
    throw DFSError(.unsupported, "\(verb) \(place(name)): \(String(cString: strerror(number)))")
  }

  /// What a file system refuses for one object, whatever else it takes.
  private static let concernsOne: Set<Int32> = [
    EEXIST, EILSEQ, EINVAL, ELOOP, EMFILE, EMLINK, ENAMETOOLONG, EOPNOTSUPP, EPERM,
  ]

  // MARK: Making

  func makeDirectory(_ name: FileName) throws(DFSError) -> OutputDirectory {
    _ = try check("making", name) { mkdirat(file.descriptor, $0, 0o700) }
    let descriptor = try check("opening", name) {
      openat(file.descriptor, $0, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
    }
    return OutputDirectory(File(owning: descriptor, path: place(name)))
  }

  func makeFile(_ name: FileName) throws(DFSError) -> File {
    let flags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC
    let descriptor = try check("making", name) { openat(file.descriptor, $0, flags, 0o600) }
    return File(owning: descriptor, path: place(name))
  }

  func makeSymlink(_ name: FileName, target: [UInt8]) throws(DFSError) {
    guard !target.isEmpty, !target.contains(0) else {
      throw DFSError(.damaged, "its target of \(target.count) bytes is none that a link can have")
    }
    let text = (target + [0]).map(CChar.init(bitPattern:))
    _ = try check("making", name) { symlinkat(text, file.descriptor, $0) }
  }

  /// A fifo, a socket or a device.
  func makeNode(_ name: FileName, _ inode: Inode) throws(DFSError) {
    let kind: mode_t =
      switch inode.kind {
      case .fifo: S_IFIFO
      case .socket: S_IFSOCK
      case .characterDevice: S_IFCHR
      default: S_IFBLK
      }
    _ = try check("making", name) {
      mknodat(file.descriptor, $0, kind | 0o600, dev_t(inode.device))
    }
  }

  /// Gives what is `old` in `other` the name `name` here, too.
  func makeLink(_ name: FileName, to old: FileName, in other: OutputDirectory) throws(DFSError) {
    let source = (old.bytes + [0]).map(CChar.init(bitPattern:))
    _ = try check("linking", name) { linkat(other.file.descriptor, source, file.descriptor, $0, 0) }
  }

  func remove(_ name: FileName) throws(DFSError) {
    _ = try check("removing", name) { unlinkat(file.descriptor, $0, 0) }
  }

  func removeDirectory(_ name: FileName) throws(DFSError) {
    _ = try check("removing", name) { unlinkat(file.descriptor, $0, AT_REMOVEDIR) }
  }

  /// Brings the whole file system to stable storage: thousands of files one by one would take long.
  func syncFileSystem() throws(DFSError) {
    guard syncfs(file.descriptor) == 0 else { throw .system("bringing to stable storage", path) }
  }

  // MARK: What it is like

  /// Owner, permission bits and times of what is no file and no directory.
  func setAttributes(_ name: FileName, _ inode: Inode) throws(DFSError) {
    if OutputOwner.canSet {
      _ = try check("giving to its owner", name) {
        fchownat(file.descriptor, $0, inode.owner, inode.group, AT_SYMLINK_NOFOLLOW)
      }
    }
    if inode.kind != .symlink {
      _ = try check("setting the permissions of", name) {
        fchmodat(file.descriptor, $0, OutputOwner.mode(of: inode), AT_SYMLINK_NOFOLLOW)
      }
    }
    let times = [inode.accessed.system, inode.modified.system]
    _ = try check("setting the times of", name) {
      utimensat(file.descriptor, $0, times, AT_SYMLINK_NOFOLLOW)
    }
  }
}

/// Who the rebuilt files belong to.
enum OutputOwner {
  static var canSet: Bool { geteuid() == 0 }

  /// A program that ran as its owner must not run as whoever rescues it instead.
  static func mode(of inode: Inode) -> mode_t {
    let isFaithful = canSet || inode.kind == .directory
    return mode_t(isFaithful ? inode.mode : inode.mode & 0o1777)
  }
}

extension File {
  func setLength(_ length: UInt64) throws(DFSError) {
    guard ftruncate(descriptor, off_t(length)) == 0 else { throw .system("writing", path) }
  }

  /// Owner, permission bits and times, in an order in which none undoes another; extended
  /// attributes go between the first two.
  /// - Returns: the number of extended attributes that were refused here.
  func setAttributes(
    _ inode: Inode, _ attributes: [(name: AttributeName, value: [UInt8])]
  ) throws(DFSError) -> Int {
    if OutputOwner.canSet, fchown(descriptor, inode.owner, inode.group) != 0 {
      throw .system("giving to its owner", path)
    }
    let refused = attributes.count { !set($0.name, $0.value) }
    guard fchmod(descriptor, OutputOwner.mode(of: inode)) == 0 else {
      throw .system("setting the permissions of", path)
    }
    let times = [inode.accessed.system, inode.modified.system]
    guard futimens(descriptor, times) == 0 else { throw .system("setting the times of", path) }
    return refused
  }

  private func set(_ name: AttributeName, _ value: [UInt8]) -> Bool {
    let text = (name.bytes + [0]).map(CChar.init(bitPattern:))
    return fsetxattr(descriptor, text, value, value.count, 0) == 0
  }
}

extension Timestamp {
  fileprivate var system: timespec { timespec(tv_sec: seconds, tv_nsec: fraction) }
}
