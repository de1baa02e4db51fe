internal import DFSCore
internal import DFSSystem
internal import Glibc

/// One process at a time: a lock on `DIR/.dfs/lock` that the kernel lets go of when the process
/// ends, however it ends.
final class DirectoryLock: Sendable {
  private let file: File

  init(_ path: String, directory: String) throws(DFSError) {
    file = try File(path, flags: O_RDWR | O_CREAT)
    guard flock(file.descriptor, LOCK_EX | LOCK_NB) == 0 else {
      guard errno == EWOULDBLOCK else { throw .system("locking", path) }
      throw DFSError(
        .busy,
        "\(directory) is in use by another dfs; stop that one first, or use another directory")
    }
  }

  func unlock() { flock(file.descriptor, LOCK_UN) }
}
