import DFSCore
import DFSSystem
import Glibc

/// A file beside its destination, under a temporary name until it is whole.
///
/// Invariants:
/// - The destination is the old file or the whole new one. The temporary file is removed with this object, and
///   by a signal that ends the process, unless it was committed.
/// - It is made, named and removed relative to the open directory, so that nothing leads elsewhere meanwhile.
final class TemporaryFile: Sendable {
  let file: OpenFile
  private let directory: OutputDirectory
  private let temporary: TemporaryName
  private let name: FileName
  /// For messages.
  private let place: LocalPath

  /// - Parameter mode: the permission bits of the file if it is new; what it replaces keeps its own.
  init(for place: LocalPlace, mode: UInt32) throws(DFSError) {
    self.place = place.path
    let (directory, name) = try Self.entry(place)
    (self.directory, self.name) = (directory, name)
    let temporary = try FileName(".dfc-get-\(VersionID.random())")
    let descriptor = try directory.makeFile(temporary)
    file = OpenFile(owning: descriptor, path: place.path)
    self.temporary = TemporaryName(directory: directory.descriptor, name: temporary)
    Interrupts.shared.register(self.temporary)
    let old = try directory.occupant(name)
    if case .file(let old) = old {
      fchmod(descriptor, old)
    } else {
      fchmod(descriptor, mode & 0o777 & ~processMask)
    }
  }

  deinit { discard() }

  private func discard() {
    temporary.remove()
    Interrupts.shared.forget(temporary)
  }

  /// Finds out before the transfer that a disk is too full for the whole file.
  func requireSpace(_ size: UInt64) throws(DFSError) {
    var space = statvfs()
    guard fstatvfs(file.descriptor, &space) == 0 else { return }
    let (free, overflow) = UInt64(space.f_bavail).multipliedReportingOverflow(
      by: UInt64(space.f_frsize))
    guard overflow || free >= size else {
      throw DFSError(
        .noSpace, "\(place) needs \(size) bytes and its disk has \(free) left; free some")
    }
  }

  /// Puts the file on stable storage and under its name, with `suffix` appended. Blocks.
  func commit(suffix: String = "") throws(DFSError) {
    guard fsync(file.descriptor) == 0 else { throw .system("cannot write \(place)") }
    try directory.replace(FileName(name.bytes + Array(suffix.utf8)), with: temporary.name)
    Interrupts.shared.forget(temporary)
    try directory.sync()
  }

  /// The directory of the destination and its name there. Where a person named a symbolic link, the file that
  /// it leads to is replaced, not the link.
  private static func entry(
    _ place: LocalPlace
  ) throws(DFSError) -> (OutputDirectory, FileName) {
    if let entry = place.entry { return entry }
    let path = try resolved(place.path)
    let name = path.bytes.split(separator: UInt8(ascii: "/")).last ?? []
    return (try OutputDirectory.open(path.directory.text), try FileName(name))
  }

  private static func resolved(_ path: LocalPath) throws(DFSError) -> LocalPath {
    guard let status = try path.status(following: false), status.kind == S_IFLNK else {
      return path
    }
    guard let real = ByteText.real(path.text) else { throw .system("cannot follow \(path)") }
    return LocalPath(real)
  }
}

/// A temporary file in a directory that is open as long as it is registered for removal.
struct TemporaryName: Hashable, Sendable {
  let directory: Int32
  let name: FileName

  func remove() { unlinkat(directory, name.text.systemPath, 0) }
}

/// The file mode creation mask of the process, which nobody changes.
private let processMask: UInt32 = {
  let mask = umask(0)
  umask(mask)
  return mask
}()
