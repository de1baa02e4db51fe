public import DFSCore
internal import DFSSystem
internal import Glibc

/// The log of a mount that runs in the background.
public enum LogFile {
  /// A file that has grown beyond this is put aside when a mount begins.
  private static let limit = 16 << 20

  /// - Returns: a descriptor, open for appending.
  public static func open(_ path: String) throws(DFSError) -> Int32 {
    let descriptor = try openToAppend(path)
    guard lseek(descriptor, 0, SEEK_END) > limit,
      rename(path.systemPath, (path + ".1").systemPath) == 0
    else {
      return descriptor
    }
    close(descriptor)
    return try openToAppend(path)
  }

  private static func openToAppend(_ path: String) throws(DFSError) -> Int32 {
    let descriptor = Glibc.open(path.systemPath, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o600)
    guard descriptor >= 0 else { throw .system("cannot write the log \(path.printable)") }
    return descriptor
  }
}
