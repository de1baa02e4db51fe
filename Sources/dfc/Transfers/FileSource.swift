import DFSClient
import DFSCore
import Glibc

/// A local file as a content to be published.
///
/// Invariant: every byte that is read belongs to the state in which the file was opened. A file that
/// is written meanwhile is noticed by its times and its size, and the read fails; so the MD5 and the
/// parts are always of one content.
final class FileSource: ContentSource {
  static let pieceBytes = 1 << 20

  let md5: MD5Digest?
  private let file: OpenFile
  /// As the file was when it was opened.
  private let status: stat

  var size: UInt64 { UInt64(status.st_size) }
  /// The permission bits.
  var mode: UInt32 { status.st_mode & 0o777 }

  /// - Throws: `invalidArgument` if the file is no regular one.
  convenience init(_ path: LocalPath) throws(DFSError) {
    // Without O_NONBLOCK a fifo would wait for its writer.
    let file = try OpenFile(path, O_RDONLY | O_NONBLOCK)
    let status = try file.status()
    guard !status.isDirectory else {
      throw DFSError(.isDirectory, "\(path) is a directory; put -r stores a tree")
    }
    guard status.isRegular else {
      throw DFSError(.invalidArgument, "\(path) is not a regular file; put - NAME stores a stream")
    }
    self.init(file, status, md5: nil)
  }

  init(_ file: OpenFile, _ status: stat, md5: MD5Digest?) {
    self.file = file
    self.md5 = md5
    self.status = status
  }

  func read(into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64) throws {
    let count = try file.read(into: buffer, at: offset)
    guard count == buffer.count, isUnchanged(try file.status()) else {
      throw DFSError(.busy, "\(file.path) was changed while it was read; put it again")
    }
  }

  private func isUnchanged(_ now: stat) -> Bool {
    now.st_size == status.st_size && now.st_mtim == status.st_mtim && now.st_ctim == status.st_ctim
  }

  /// The same content with its MD5. Blocks.
  /// - Parameter progress: takes the bytes of each step.
  func hashed(_ progress: (Int) -> Void) throws -> FileSource {
    var hasher = MD5Hasher()
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: Self.pieceBytes, alignment: 16)
    defer { buffer.deallocate() }
    while hasher.count < size {
      let count = Int(min(UInt64(buffer.count), size - hasher.count))
      let piece = UnsafeMutableRawBufferPointer(rebasing: buffer[..<count])
      try read(into: piece, at: hasher.count)
      hasher.update(UnsafeRawBufferPointer(piece))
      progress(count)
    }
    return FileSource(file, status, md5: hasher.finish())
  }
}

extension timespec {
  fileprivate static func == (left: Self, right: Self) -> Bool {
    left.tv_sec == right.tv_sec && left.tv_nsec == right.tv_nsec
  }
}
