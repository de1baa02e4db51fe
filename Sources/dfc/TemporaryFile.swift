import DFSCore
import Glibc

/// A file beside its destination, under a temporary name until it is whole.
///
/// Invariant: the destination is the old file or the whole new one. The temporary file is removed
/// with this object, and by a signal that ends the process, unless it was committed.
final class TemporaryFile: Sendable {
  let file: OpenFile
  private let destination: LocalPath
  private var path: LocalPath { file.path }

  /// - Parameter mode: the permission bits of the file if it is new; what it replaces keeps its own.
  init(for destination: LocalPath, mode: UInt32) throws(DFSError) {
    self.destination = try Self.resolved(destination)
    let directory = self.destination.directory
    var template = LocalPath(directory.bytes + Array("/.dfc-get-XXXXXX".utf8)).cString
    let descriptor = mkstemp(&template)
    guard descriptor >= 0 else { throw .system("cannot write in \(directory)") }
    let path = LocalPath(template.dropLast().map(UInt8.init(bitPattern:)))
    file = OpenFile(owning: descriptor, path: path)
    Interrupts.shared.register(path)
    let old = try self.destination.status()
    fchmod(descriptor, old.map { $0.st_mode & 0o777 } ?? mode & 0o777 & ~processMask)
  }

  deinit { discard() }

  private func discard() {
    unlink(path.cString)
    Interrupts.shared.forget(path)
  }

  /// Finds out before the transfer that a disk is too full for the whole file.
  func requireSpace(_ size: UInt64) throws(DFSError) {
    var space = statvfs()
    guard fstatvfs(file.descriptor, &space) == 0 else { return }
    let (free, overflow) = UInt64(space.f_bavail).multipliedReportingOverflow(
      by: UInt64(space.f_frsize))
    guard overflow || free >= size else {
      throw DFSError(
        .noSpace, "\(destination) needs \(size) bytes and its disk has \(free) left; free some")
    }
  }

  /// Puts the file on stable storage and under its name, with `suffix` appended. Blocks.
  func commit(suffix: String = "") throws(DFSError) {
    let destination = LocalPath(destination.bytes + Array(suffix.utf8))
    guard fsync(file.descriptor) == 0 else { throw .system("cannot write \(destination)") }
    guard rename(path.cString, destination.cString) == 0 else {
      throw .system("cannot name the new file \(destination)")
    }
    Interrupts.shared.forget(path)
    let directory = try OpenFile(destination.directory, O_RDONLY | O_DIRECTORY)
    guard fsync(directory.descriptor) == 0 else { throw .system("cannot write \(destination)") }
  }

  /// Where a symbolic link leads: the file there is replaced, not the link.
  private static func resolved(_ path: LocalPath) throws(DFSError) -> LocalPath {
    guard let status = try path.status(following: false), status.kind == S_IFLNK else {
      return path
    }
    guard let real = ByteText.real(path.text) else { throw .system("cannot follow \(path)") }
    return LocalPath(real)
  }
}

/// The file mode creation mask of the process, which nobody changes.
private let processMask: UInt32 = {
  let mask = umask(0)
  umask(mask)
  return mask
}()
