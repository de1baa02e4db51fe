import DFSConfiguration
import DFSCore
import DFSSystem
import Glibc
import SystemPackage

/// What comes through standard input, kept in an unlinked file until it is published: its MD5 says
/// where it goes, and that is known only at its end.
enum Spool {
  /// Reads standard input to its end. Blocks.
  /// - Throws: `noSpace` above `configuration.spoolBytes`.
  static func standardInput(_ configuration: ClientConfiguration, _ progress: (Int) -> Void) throws
    -> FileSource
  {
    let file = try unlinkedFile(in: configuration.cache.make())
    var hasher = MD5Hasher()
    let buffer = UnsafeMutableRawBufferPointer.allocate(
      byteCount: FileSource.pieceBytes, alignment: 16)
    defer { buffer.deallocate() }
    while true {
      let count: Int
      do throws(Errno) {
        count = try FileDescriptor.standardInput.fill(buffer)
      } catch {
        throw DFSError.system("cannot read standard input", error.rawValue)
      }
      guard count > 0 else { break }
      let piece = UnsafeRawBufferPointer(rebasing: buffer[..<count])
      guard hasher.count + UInt64(count) <= configuration.spoolBytes else {
        throw DFSError(
          .noSpace,
          "standard input has more than the \(configuration.spoolBytes) bytes of Spool-Size; "
            + "put a file instead, which needs no spool")
      }
      try file.write(piece, at: hasher.count)
      hasher.update(piece)
      progress(count)
    }
    return FileSource(file, try file.status(), md5: hasher.finish())
  }

  /// A file without a name, which goes with its descriptor.
  private static func unlinkedFile(in directory: String) throws(DFSError) -> OpenFile {
    let descriptor = UnnamedFile.open(in: directory)
    guard descriptor >= 0 else { throw .system("cannot spool in \(directory.printable)") }
    return OpenFile(owning: descriptor, path: LocalPath("the spool in \(directory)"))
  }
}
