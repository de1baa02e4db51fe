internal import DFSCore
internal import Glibc

/// An unlinked file: it vanishes with its descriptor, however the process ends.
final class SpoolFile: Sendable {
  /// O_TMPFILE, which Swift does not import.
  private static let temporary = 0o20_000_000 | O_DIRECTORY
  private let descriptor: Int32

  init(in directory: String) throws(DFSError) {
    var descriptor = open(directory, Self.temporary | O_RDWR | O_CLOEXEC, 0o600)
    if descriptor < 0, errno == EOPNOTSUPP || errno == EISDIR || errno == ENOENT {
      descriptor = Self.makeAndUnlink(in: directory)
    }
    guard descriptor >= 0 else {
      throw .system("cannot make a spool file in the cache directory \(directory)")
    }
    self.descriptor = descriptor
  }

  deinit { close(descriptor) }

  /// For file systems without O_TMPFILE.
  private static func makeAndUnlink(in directory: String) -> Int32 {
    var template = Array("\(directory)/spool-XXXXXX".utf8CString)
    let descriptor = mkstemp(&template)
    if descriptor >= 0 {
      unlink(template)
      _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC)
    }
    return descriptor
  }

  func write(_ bytes: UnsafeRawBufferPointer, at offset: UInt64) throws(DFSError) {
    var done = 0
    while done < bytes.count {
      let rest = UnsafeRawBufferPointer(rebasing: bytes[done...])
      let count = pwrite(descriptor, rest.baseAddress, rest.count, off_t(offset) + off_t(done))
      if count < 0, errno == EINTR { continue }
      guard count > 0 else { throw .system("cannot write to the spool") }
      done += count
    }
  }

  /// Fills `buffer` as far as the file goes.
  /// - Returns: how many bytes were read.
  func read(into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64) throws(DFSError) -> Int {
    var done = 0
    while done < buffer.count {
      let rest = UnsafeMutableRawBufferPointer(rebasing: buffer[done...])
      let count = pread(descriptor, rest.baseAddress, rest.count, off_t(offset) + off_t(done))
      if count < 0, errno == EINTR { continue }
      guard count >= 0 else { throw .system("cannot read the spool") }
      if count == 0 { break }
      done += count
    }
    return done
  }

  func truncate(to size: UInt64) throws(DFSError) {
    guard ftruncate(descriptor, off_t(size)) == 0 else {
      throw .system("cannot change the size of a spool file to \(size) bytes")
    }
  }
}
