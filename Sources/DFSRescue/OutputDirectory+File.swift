internal import CLinux
internal import DFSCore
internal import DFSStore
internal import DFSSystem
internal import Glibc

/// The directory that a rescue makes or is given empty. Until `RescueTree` is done with it, only its owner can
/// look in.
extension OutputDirectory {
  /// Opens `path`, which must be an empty directory, or makes it.
  static func root(_ path: String) throws(DFSError) -> OutputDirectory {
    if mkdir(path, 0o700) != 0 {
      guard errno == EEXIST else {
        let hint = errno == ENOENT ? "; make the directory above it first" : ""
        throw DFSError(
          .configuration,
          "\(path.printable) cannot be made: \(String(cString: strerror(errno)))\(hint)")
      }
      guard Disk.isDirectory(path), try Disk.names(in: path)?.isEmpty == true else {
        throw DFSError(
          .exists, "\(path.printable) is not an empty directory; name an empty or a new one")
      }
    }
    return try OutputDirectory.open(path)
  }

  /// A new file, as the store writes files.
  func makeFile(_ name: FileName) throws(DFSError) -> File {
    File(owning: try makeFile(name, mode: 0o600), path: place(name))
  }

  /// Brings the whole file system to stable storage: thousands of files one by one would take long.
  func syncFileSystem() throws(DFSError) {
    guard syncfs(descriptor) == 0 else { throw .system("bringing to stable storage", path) }
  }
}

extension File {
  func setLength(_ length: UInt64) throws(DFSError) {
    guard ftruncate(descriptor, off_t(length)) == 0 else { throw .system("writing", path) }
  }

  /// Makes a range, which is within the file, zeros: a hole, or where that cannot be done, zeros over what is data.
  func clear(_ range: Range<UInt64>) throws(DFSError) {
    let mode = Int32(DFS_FALLOC_KEEP_SIZE | DFS_FALLOC_PUNCH_HOLE)
    guard fallocate(descriptor, mode, off_t(range.lowerBound), off_t(range.count)) != 0 else {
      return
    }
    guard errno == EOPNOTSUPP || errno == ENOSYS else { throw .system("writing", path) }
    let zeros = [UInt8](repeating: 0, count: min(range.count, 1 << 20))
    var offset = range.lowerBound
    while let data = nextData(from: offset), data < range.upperBound {
      let count = Int(min(range.upperBound - data, UInt64(zeros.count)))
      try zeros[..<count].withBytes { bytes throws(DFSError) in
        try write(UnsafeRawBufferPointer(bytes), at: data)
      }
      offset = data + UInt64(count)
    }
  }

  /// nil if only a hole follows.
  private func nextData(from offset: UInt64) -> UInt64? {
    let found = lseek(descriptor, off_t(offset), Int32(DFS_SEEK_DATA))
    if found >= 0 { return UInt64(found) }
    return errno == ENXIO ? nil : offset
  }
}
