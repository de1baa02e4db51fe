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
}
