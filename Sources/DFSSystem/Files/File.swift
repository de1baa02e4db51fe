internal import CLinux
package import DFSCore
internal import Glibc
internal import SystemPackage

/// An open file of a server. Together with `Disk` it is the one place where the store touches the
/// operating system's files: every refusal becomes a `DFSError` here, and fault injection has one place
/// to stand.
///
/// Invariant: after `sync` failed the descriptor is not trusted again: the kernel may have dropped
/// the bytes and reported it once (https://lwn.net/Articles/752063/).
package final class File: Sendable {
  package let descriptor: Int32
  package let path: String

  /// Opens `path`; `flags` as of open(2), close-on-exec is added.
  package init(_ path: String, flags: Int32, mode: UInt32 = 0o600) throws(DFSError) {
    let result = retrying { Glibc.open(path, flags | O_CLOEXEC, mode) }
    guard result >= 0 else { throw .system("opening", path) }
    descriptor = result
    self.path = path
  }

  /// Takes over an open descriptor.
  package init(owning descriptor: Int32, path: String) {
    self.descriptor = descriptor
    self.path = path
  }

  deinit { close(descriptor) }

  package func write(_ bytes: UnsafeRawBufferPointer, at offset: UInt64) throws(DFSError) {
    do {
      try FileDescriptor(rawValue: descriptor).writeWhole(bytes, at: offset)
    } catch {
      throw .system("writing", path, errno: error.rawValue)
    }
  }

  /// Fills `bytes`.
  /// - Throws: `damaged` if the file ends before.
  package func read(_ bytes: UnsafeMutableRawBufferPointer, at offset: UInt64) throws(DFSError) {
    let count: Int
    do {
      count = try FileDescriptor(rawValue: descriptor).fill(bytes, at: offset)
    } catch {
      throw .system("reading", path, errno: error.rawValue)
    }
    guard count == bytes.count else {
      throw DFSError(.damaged, "\(path) ends at byte \(offset + UInt64(count)), too early")
    }
  }

  package func read(count: Int, at offset: UInt64) throws(DFSError) -> [UInt8] {
    do {
      return try [UInt8](unsafeUninitializedCapacity: count) { buffer, initialized in
        try read(UnsafeMutableRawBufferPointer(buffer), at: offset)
        initialized = count
      }
    } catch let error as DFSError {
      throw error
    } catch {
      throw DFSError(.inputOutput, "reading \(path)", cause: error)
    }
  }

  /// The bytes, if the kernel has them in memory: this never waits for the disk (preadv2(2), RWF_NOWAIT).
  package func readNow(count: Int, at offset: UInt64) -> [UInt8]? {
    let bytes = [UInt8](unsafeUninitializedCapacity: count) { buffer, initialized in
      let result = dfs_read_cached(descriptor, buffer.baseAddress, count, off_t(offset))
      initialized = max(0, result)
    }
    return bytes.count == count ? bytes : nil
  }

  /// Takes the space now, so that a full disk is told before the bytes are sent. File systems that
  /// cannot do it are left alone.
  package func allocate(_ range: Range<UInt64>) throws(DFSError) {
    while true {
      let code = posix_fallocate(descriptor, off_t(range.lowerBound), off_t(range.count))
      if code == EINTR { continue }
      guard code != 0, code != EOPNOTSUPP, code != EINVAL else { return }
      throw .system("taking \(range.count) bytes for", path, errno: code)
    }
  }

  /// Makes a range a hole, whose space was taken and never written; where that cannot be done it
  /// stays taken, and reads as zeros too.
  package func giveBack(_ offset: UInt64, _ count: UInt64) {
    let mode = Int32(DFS_FALLOC_KEEP_SIZE | DFS_FALLOC_PUNCH_HOLE)
    _ = fallocate(descriptor, mode, off_t(offset), off_t(count))
  }

  /// Asks the kernel to begin writing what is not on the disk yet, without waiting. (It also lets go
  /// of pages that are on the disk, which is no loss for a file that was just written.)
  package func beginWriting() { posix_fadvise(descriptor, 0, 0, POSIX_FADV_DONTNEED) }

  /// Asks the kernel to begin writing a range, without waiting for it; that it cannot be written is told
  /// by the next `sync`. (sync_file_range(2))
  package func beginWriting(_ range: Range<UInt64>) {
    let flags = UInt32(DFS_SYNC_FILE_RANGE_WRITE)
    _ = sync_file_range(descriptor, Int(range.lowerBound), range.count, flags)
  }

  package func sync() throws(DFSError) {
    guard retrying({ fdatasync(descriptor) }) == 0 else {
      throw .system("bringing to stable storage", path)
    }
  }

  package func length() throws(DFSError) -> UInt64 { try identity().bytes }

  package func identity() throws(DFSError) -> FileIdentity {
    var status = stat()
    guard fstat(descriptor, &status) == 0 else { throw .system("examining", path) }
    return FileIdentity(status)
  }
}

/// Which file it is, and its size: of a path and of a descriptor it is the same if that file is there still.
package struct FileIdentity: Hashable, Sendable {
  private let device: dev_t
  private let inode: ino_t
  package let bytes: UInt64

  fileprivate init(_ status: stat) {
    device = status.st_dev
    inode = status.st_ino
    bytes = UInt64(status.st_size)
  }
}

/// Directories and names.
package enum Disk {
  package static func exists(_ path: String) -> Bool {
    var status = stat()
    return stat(path, &status) == 0
  }

  /// Nil if there is none, or it cannot be told.
  package static func identity(_ path: String) -> FileIdentity? {
    var status = stat()
    return stat(path, &status) == 0 ? FileIdentity(status) : nil
  }

  /// Size and time of the last change of a file, nil if there is none.
  package static func status(_ path: String) throws(DFSError) -> (
    bytes: UInt64, modifiedSeconds: Int64
  )? {
    var status = stat()
    guard stat(path, &status) == 0 else {
      if errno == ENOENT { return nil }
      throw .system("examining", path)
    }
    return (UInt64(status.st_size), Int64(status.st_mtim.tv_sec))
  }

  /// Makes a directory if there is none; a new one is in its parent on stable storage.
  package static func makeDirectory(_ path: String) throws(DFSError) {
    if try makeUnsyncedDirectory(path) { try syncDirectory(parent(of: path)) }
  }

  /// - Returns: whether there was none.
  package static func makeUnsyncedDirectory(_ path: String) throws(DFSError) -> Bool {
    if mkdir(path, 0o700) == 0 { return true }
    guard errno == EEXIST else { throw .system("making", path) }
    return false
  }

  /// Puts the names in a directory on stable storage.
  package static func syncDirectory(_ path: String) throws(DFSError) {
    let directory = try File(path, flags: O_RDONLY | O_DIRECTORY)
    guard retrying({ fsync(directory.descriptor) }) == 0 else {
      throw .system("bringing to stable storage", path)
    }
  }

  /// Brings everything of the file system that has `directory` to stable storage.
  package static func syncFileSystem(of directory: String) throws(DFSError) {
    let file = try File(directory, flags: O_RDONLY | O_DIRECTORY)
    guard syncfs(file.descriptor) == 0 else {
      throw .system("bringing to stable storage", directory)
    }
  }

  package static func rename(_ old: String, _ new: String) throws(DFSError) {
    guard Glibc.rename(old, new) == 0 else { throw .system("renaming to", new) }
  }

  /// Removes a file; that there is none is fine.
  package static func remove(_ path: String) throws(DFSError) {
    guard unlink(path) != 0, errno != ENOENT else { return }
    throw .system("removing", path)
  }

  /// The names in a directory but `.` and `..`; nil if there is no such directory.
  package static func names(in path: String) throws(DFSError) -> [String]? {
    guard let stream = opendir(path) else {
      if errno == ENOENT { return nil }
      throw .system("listing", path)
    }
    defer { closedir(stream) }
    var names: [String] = []
    while let entry = readdir(stream) {
      let name = withUnsafePointer(to: &entry.pointee.d_name) {
        String(cString: UnsafeRawPointer($0).assumingMemoryBound(to: CChar.self))
      }
      if name != ".", name != ".." { names.append(name) }
    }
    return names
  }

  package static func isDirectory(_ path: String) -> Bool {
    var status = stat()
    return stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFDIR
  }

  package static func parent(of path: String) -> String {
    guard let slash = path.lastIndex(of: "/") else { return "." }
    return slash == path.startIndex ? "/" : String(path[..<slash])
  }

  /// Bytes of the file system that holds `path`: all, and free for this process.
  package static func space(at path: String) throws(DFSError) -> (total: UInt64, available: UInt64)
  {
    var status = statvfs()
    guard statvfs(path, &status) == 0 else { throw .system("examining", path) }
    // What some file systems say of themselves has no limit.
    func bytes(_ blocks: UInt) -> UInt64 {
      let (bytes, overflow) = UInt64(blocks).multipliedReportingOverflow(
        by: UInt64(status.f_frsize))
      return overflow ? Limits.storeBytes : min(bytes, Limits.storeBytes)
    }
    return (bytes(status.f_blocks), bytes(status.f_bavail))
  }
}

/// Repeats a system call that a signal interrupted.
private func retrying<Result: SignedInteger>(_ call: () -> Result) -> Result {
  while true {
    let result = call()
    if result != -1 || errno != EINTR { return result }
  }
}

extension DFSError {
  /// What errno says about `verb` (as "writing") a path.
  package static func system(_ verb: String, _ path: String, errno code: Int32? = nil) -> DFSError {
    .disk("\(verb) \(path)", code)
  }
}
