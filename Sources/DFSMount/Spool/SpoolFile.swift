internal import CLinux
internal import DFSCore
internal import DFSSystem
internal import Glibc
internal import SystemPackage

/// An unlinked, sparse file: it vanishes with its descriptor, however the process ends.
final class SpoolFile: Sendable {
  enum Sought: Sendable { case data, hole }

  private static let keepSize = Int32(DFS_FALLOC_KEEP_SIZE)
  private static let punchHole = Int32(DFS_FALLOC_PUNCH_HOLE)
  let descriptor: Int32

  init(in directory: String) throws(DFSError) {
    descriptor = UnnamedFile.open(in: directory)
    guard descriptor >= 0 else {
      throw .disk("cannot make a spool file in the cache directory \(directory)")
    }
  }

  deinit { close(descriptor) }

  /// - Parameter done: how many bytes were written, also before an error.
  func write(
    _ bytes: UnsafeRawBufferPointer, at offset: UInt64, _ done: inout Int
  ) throws(DFSError) {
    do {
      try FileDescriptor(rawValue: descriptor).writeWhole(bytes, at: offset, done: &done)
    } catch {
      throw .disk("cannot write to the spool", error.rawValue)
    }
  }

  /// Fills `buffer` as far as the file goes.
  /// - Returns: how many bytes were read.
  func read(into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64) throws(DFSError) -> Int {
    do {
      return try FileDescriptor(rawValue: descriptor).fill(buffer, at: offset)
    } catch {
      throw .disk("cannot read the spool", error.rawValue)
    }
  }

  func truncate(to size: UInt64) throws(DFSError) {
    guard ftruncate(descriptor, off_t(size)) == 0 else {
      throw .disk("cannot change the size of a spool file to \(size) bytes")
    }
  }

  // MARK: Holes

  /// Bytes that the file takes on its disk; a file of `size` bytes is not counted with more than
  /// that, though its file system took more in advance.
  func allocated(of size: UInt64) -> UInt64 {
    guard let space = try? FileDescriptor(rawValue: descriptor).space() else { return size }
    return min(space.allocated, max(size, space.length) + SpoolBudget.slackBytes)
  }

  /// Makes a range, which is within the file, a hole; where that cannot be done, zeros.
  func punch(_ range: Range<UInt64>) throws(DFSError) {
    let flags = Self.keepSize | Self.punchHole
    guard fallocate(descriptor, flags, off_t(range.lowerBound), off_t(range.count)) != 0 else {
      return
    }
    guard errno == EOPNOTSUPP || errno == ENOSYS else { throw .disk("cannot make a hole") }
    let zeros = [UInt8](repeating: 0, count: min(range.count, 1 << 20))
    var offset = range.lowerBound
    while offset < range.upperBound {
      let count = Int(min(range.upperBound - offset, UInt64(zeros.count)))
      var done = 0
      try zeros[..<count].withBytes { bytes throws(DFSError) in
        try self.write(bytes, at: offset, &done)
      }
      offset += UInt64(count)
    }
  }

  /// Takes the space of a range; the size stays. A file system that cannot do it is left alone.
  func allocate(_ range: Range<UInt64>) throws(DFSError) {
    while true {
      let code = fallocate(
        descriptor, Self.keepSize, off_t(range.lowerBound), off_t(range.count))
      if code != 0, errno == EINTR { continue }
      guard code != 0, errno != EOPNOTSUPP, errno != ENOSYS else { return }
      throw .disk("cannot take \(range.count) bytes for the spool")
    }
  }

  /// The first byte of data, or of a hole, from `offset` on.
  /// - Returns: nil if there is none.
  func seek(_ offset: UInt64, _ sought: Sought) throws(DFSError) -> UInt64? {
    let found = lseek(
      descriptor, off_t(offset),
      Int32(sought == .data ? DFS_SEEK_DATA : DFS_SEEK_HOLE))
    if found >= 0 { return UInt64(found) }
    guard errno == ENXIO else { throw .disk("cannot look for holes in the spool") }
    return nil
  }
}
