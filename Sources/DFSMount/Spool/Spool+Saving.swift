internal import DFSCore
internal import DFSSystem
internal import Glibc
internal import Synchronization
internal import SystemPackage

/// A spool that outlives its mount.
extension Spool {
  private static let pieceBytes = 1 << 20

  /// Gives the content a name of its own, on stable storage. The spool may be used on, but not
  /// written.
  /// - Parameter path: where nothing is.
  func save(to path: String) throws(DFSError) {
    let (file, size) = state.withLock { ($0.file, $0.size) }
    if let file {
      try file.truncate(to: size)
      if try file.link(to: path) { return }
    }
    let copy = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
    guard copy >= 0 else { throw .system("cannot make \(path)") }
    defer { close(copy) }
    // Around what is in memory there are zeros.
    let data = state.withLock { $0.file == nil ? $0.memory.range : 0..<$0.size }
    var offset = data.lowerBound
    while offset < data.upperBound {
      let bytes = try read(at: offset, count: Self.pieceBytes)
      guard !bytes.isEmpty else { break }
      try write(bytes, to: copy, at: offset, path)
      offset += UInt64(bytes.count)
    }
    guard ftruncate(copy, off_t(size)) == 0, fsync(copy) == 0 else {
      throw .disk("cannot write \(path)")
    }
  }

  private func write(
    _ bytes: [UInt8], to descriptor: Int32, at offset: UInt64, _ path: String
  ) throws(DFSError) {
    try bytes.withBytes { bytes throws(DFSError) in
      guard !bytes.isZero else { return }
      do throws(Errno) {
        try FileDescriptor(rawValue: descriptor).writeWhole(bytes, at: offset)
      } catch {
        throw .disk("cannot write \(path)", error.rawValue)
      }
    }
  }
}

extension SpoolFile {
  /// Gives the file a name, and brings it to stable storage.
  /// - Returns: false if a file like this one cannot get one.
  func link(to path: String) throws(DFSError) -> Bool {
    // AT_SYMLINK_FOLLOW: the file, not the link to it in /proc.
    let own = "/proc/self/fd/\(descriptor)"
    guard linkat(AT_FDCWD, own, AT_FDCWD, path, AT_SYMLINK_FOLLOW) == 0 else { return false }
    guard fsync(descriptor) == 0 else { throw .disk("cannot write \(path)") }
    return true
  }
}
