public import DFSCore
internal import DFSSystem
internal import Glibc
internal import SystemPackage

/// A users file on disk: read as a whole, replaced as a whole.
public enum UsersDisk {
  /// What changes when the file does.
  struct Stamp: Hashable, Sendable {
    let device: UInt64
    let inode: UInt64
    let bytes: Int
    let modified: Timestamp
    let changed: Timestamp
    /// The permission bits by which others can read or write it.
    let exposure: UInt32
  }

  /// The stamp of the file at `path`; nil if there is none.
  static func stamp(_ path: String) throws(DFSError) -> Stamp? {
    var status = stat()
    guard stat(path.systemPath, &status) == 0 else {
      if errno == ENOENT { return nil }
      throw failure("cannot look at", path)
    }
    return Stamp(
      device: UInt64(status.st_dev), inode: UInt64(status.st_ino), bytes: Int(status.st_size),
      modified: Timestamp(
        seconds: status.st_mtim.tv_sec, nanoseconds: status.st_mtim.tv_nsec),
      changed: Timestamp(seconds: status.st_ctim.tv_sec, nanoseconds: status.st_ctim.tv_nsec),
      exposure: UInt32(status.st_mode) & 0o077)
  }

  /// The users in the file at `path`.
  /// - Throws: `notFound` if there is no such file.
  public static func readExisting(_ path: String) throws(DFSError) -> UsersFile {
    guard try stamp(path) != nil else {
      throw DFSError(
        .notFound,
        "there is no \(path.printable); dfs user add NAME --users FILE makes one")
    }
    return try read(path)
  }

  /// The users in the file at `path`; none if there is no file.
  public static func read(_ path: String) throws(DFSError) -> UsersFile {
    let descriptor = open(path.systemPath, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else {
      if errno == ENOENT { return UsersFile() }
      throw failure("cannot read", path)
    }
    defer { close(descriptor) }
    let bytes: [UInt8]?
    do {
      bytes = try FileDescriptor(rawValue: descriptor).readToEnd(limit: UsersFile.bytesLimit)
    } catch {
      throw failure(
        "cannot read", path, error.rawValue,
        "; see to the disk, or restore the file from another server")
    }
    guard let bytes else {
      throw DFSError(
        .configuration,
        "\(path.printable) is longer than \(UsersFile.bytesLimit) bytes; is it the right file?")
    }
    return UsersFile(text: String(decoding: bytes, as: UTF8.self))
  }

  /// Reads the file, changes it and replaces it in one step: temporary file, fsync, rename, fsync
  /// of the directory. Only its owner can read it after that, who stays the same though root change
  /// it: the servers run as somebody else. Another change waits for this one.
  public static func change<Result>(
    _ path: String, _ body: (inout UsersFile) throws(DFSError) -> Result
  ) throws(DFSError) -> Result {
    let path = resolved(path)
    let parent = directory(of: path)
    let directory = open(parent.systemPath, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    guard directory >= 0 else { throw failure("cannot open", parent) }
    defer { close(directory) }
    guard flock(directory, LOCK_EX) == 0 else { throw failure("cannot lock", parent) }
    var file = try read(path)
    let result = try body(&file)
    // One name for all, under the lock: what a process that ended left is written over.
    let temporary = path + ".new"
    do throws(DFSError) {
      try write(Array(file.text.utf8), to: temporary, owner: owner(of: path, in: directory))
      CrashPoint.reached(.usersWritten)
      guard rename(temporary.systemPath, path.systemPath) == 0 else {
        throw failure("cannot replace", path)
      }
    } catch {
      unlink(temporary.systemPath)
      throw error
    }
    CrashPoint.reached(.usersReplaced)
    guard fsync(directory) == 0 else { throw failure("cannot sync", parent) }
    return result
  }

  /// Whose the file at `path` is, or will be: whose its directory is.
  private static func owner(of path: String, in directory: Int32) -> (user: uid_t, group: gid_t) {
    var status = stat()
    if stat(path.systemPath, &status) != 0, fstat(directory, &status) != 0 {
      return (geteuid(), getegid())
    }
    return (status.st_uid, status.st_gid)
  }

  /// Writes a file that only its owner can read, to stable storage.
  static func write(
    _ bytes: [UInt8], to path: String, owner: (user: uid_t, group: gid_t)
  ) throws(DFSError) {
    let descriptor = open(
      path.systemPath, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0o600)
    guard descriptor >= 0 else { throw failure("cannot make", path) }
    defer { close(descriptor) }
    do {
      try FileDescriptor(rawValue: descriptor).writeWhole(bytes)
    } catch {
      throw failure("cannot write", path, error.rawValue)
    }
    if geteuid() == 0, fchown(descriptor, owner.user, owner.group) != 0 {
      throw failure("cannot give its owner", path)
    }
    guard fchmod(descriptor, 0o600) == 0, fsync(descriptor) == 0 else {
      throw failure("cannot sync", path)
    }
  }

  /// Where a symbolic link leads, so that it stays one.
  private static func resolved(_ path: String) -> String {
    ByteText.real(path) ?? path
  }

  static func directory(of path: String) -> String { ByteText.directory(of: path) }

  private static func failure(
    _ what: String, _ path: String, _ number: Int32? = nil, _ remedy: String = ""
  ) -> DFSError {
    .system("\(what) \(path.printable)", number, remedy: remedy)
  }
}
