import DFSCore
import DFSSystem
import Glibc
import SystemPackage

/// A path of the local file system: bytes, since names need not be UTF-8.
struct LocalPath: Hashable, Sendable, CustomStringConvertible {
  let bytes: [UInt8]

  init(_ bytes: [UInt8]) { self.bytes = bytes }
  /// - Parameter text: of the bytes, as `ByteText` has them.
  init(_ text: String) { bytes = ByteText.bytes(of: text) }

  /// For the system's calls.
  var cString: [CChar] { bytes.map(CChar.init(bitPattern:)) + [0] }
  /// The bytes as `ByteText` has them.
  var text: String { ByteText.text(of: bytes) }
  /// For people.
  var description: String { text.printable }
  var endsWithSlash: Bool { bytes.last == UInt8(ascii: "/") }

  func appending(_ name: FileName) -> LocalPath {
    LocalPath(bytes + (endsWithSlash || bytes.isEmpty ? [] : [UInt8(ascii: "/")]) + name.bytes)
  }

  /// The path of the directory that this is in.
  var directory: LocalPath {
    guard let slash = bytes.lastIndex(of: UInt8(ascii: "/")) else { return LocalPath(".") }
    return LocalPath(Array(bytes[...slash]))
  }

  /// The last component; of `.`, `..` and the like that of the directory they stand for.
  func baseName() throws(DFSError) -> FileName {
    let last = bytes.split(separator: UInt8(ascii: "/")).last.map(Array.init) ?? []
    if last != Array(".".utf8), last != Array("..".utf8), !last.isEmpty {
      return try FileName(last)
    }
    guard let real = ByteText.real(text) else { throw .system("cannot find \(self)") }
    let resolved = ByteText.bytes(of: real).split(separator: UInt8(ascii: "/")).last
    guard let resolved else {
      throw DFSError(.invalidArgument, "\(self) is the root directory and has no name to store")
    }
    return try FileName(Array(resolved))
  }

  /// What is there; nil if nothing is.
  func status(following: Bool = true) throws(DFSError) -> stat? {
    var status = stat()
    let result = fstatat(AT_FDCWD, cString, &status, following ? 0 : AT_SYMLINK_NOFOLLOW)
    if result == 0 { return status }
    if errno == ENOENT { return nil }
    throw .system("cannot look at \(self)")
  }
}

extension stat {
  var kind: mode_t { st_mode & S_IFMT }
  var isDirectory: Bool { kind == S_IFDIR }
  var isRegular: Bool { kind == S_IFREG }
}

/// An open file; closed with the value's last use.
final class OpenFile: Sendable {
  let descriptor: Int32
  let path: LocalPath

  init(_ path: LocalPath, _ flags: Int32, mode: mode_t = 0) throws(DFSError) {
    descriptor = open(path.cString, flags | O_CLOEXEC, mode)
    self.path = path
    guard descriptor >= 0 else { throw .system("cannot open \(path)") }
  }

  init(owning descriptor: Int32, path: LocalPath) {
    self.descriptor = descriptor
    self.path = path
  }

  deinit { close(descriptor) }

  func status() throws(DFSError) -> stat {
    var status = stat()
    guard fstat(descriptor, &status) == 0 else { throw .system("cannot look at \(path)") }
    return status
  }

  /// Reads at most the buffer's bytes at `offset`; fewer at the end of the file only.
  func read(into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64) throws(DFSError) -> Int {
    do {
      return try FileDescriptor(rawValue: descriptor).fill(buffer, at: offset)
    } catch {
      throw .system("cannot read \(path)", error.rawValue)
    }
  }

  func write(_ bytes: UnsafeRawBufferPointer, at offset: UInt64) throws(DFSError) {
    do {
      try FileDescriptor(rawValue: descriptor).writeWhole(bytes, at: offset)
    } catch {
      throw .system("cannot write \(path)", error.rawValue)
    }
  }

  /// Makes the file at least so long; what was not written is a hole.
  func extend(to size: UInt64) throws(DFSError) {
    guard ftruncate(descriptor, off_t(size)) == 0 else { throw .system("cannot write \(path)") }
  }
}

/// Where bytes go one after the other: standard output, a pipe, a device.
struct ByteSink: Sendable {
  static let standardOutput = ByteSink(descriptor: STDOUT_FILENO, file: nil)

  private let descriptor: Int32
  private let file: OpenFile?

  private init(descriptor: Int32, file: OpenFile?) {
    self.descriptor = descriptor
    self.file = file
  }

  init(_ file: OpenFile) { self.init(descriptor: file.descriptor, file: file) }

  func write(_ bytes: UnsafeRawBufferPointer) throws(DFSError) {
    try writeAll(bytes, to: descriptor, named: file?.path.description ?? "standard output")
  }
}
