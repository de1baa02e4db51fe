internal import DFSCore
internal import Glibc

/// Files without a name: they go with their descriptor, however the process ends.
public enum UnnamedFile {
  /// O_TMPFILE, which Swift does not import.
  private static let temporary = 0o20_000_000 | O_DIRECTORY

  /// Opens one for reading and writing; programs that are started do not get it (open(2), O_TMPFILE, or
  /// mkstemp(3) where the file system has no such files).
  /// - Returns: the descriptor, or -1 with errno set.
  public static func open(in directory: String) -> Int32 {
    let descriptor = Glibc.open(directory.systemPath, temporary | O_RDWR | O_CLOEXEC, 0o600)
    guard descriptor < 0, errno == EOPNOTSUPP || errno == EISDIR || errno == ENOENT else {
      return descriptor
    }
    var template = "\(directory)/spool-XXXXXX".systemPath
    let named = mkstemp(&template)
    if named >= 0 {
      unlink(template)
      _ = fcntl(named, F_SETFD, FD_CLOEXEC)
    }
    return named
  }
}
