public import DFSCore
internal import Glibc

/// Where a password is read from: never an argument of a process, which everybody can see.
public enum PasswordSource: Hashable, Sendable {
  /// The first line of a file, which only its owner can read.
  case file(String)
  /// The first line of a file, whoever can read it: of a password that is about to be given to somebody.
  case sharedFile(String)
  /// The first line of an open file descriptor; what follows it is left there.
  case descriptor(Int32)
  /// Asked for on the terminal of the process, without echo.
  case terminal(prompt: String)

  /// Bytes of the longest password.
  static let limit = 1024

  /// - Throws: `configuration` if there is no password to be had here, `cancelled` if the question
  ///   was answered with Control-C or Control-D.
  public func read() throws(DFSError) -> String {
    switch self {
    case .file(let path):
      let (bytes, exposure) = try SecretFile.read(path, limit: 64 << 10)
      guard exposure == 0 else { throw SecretFile.exposed(path, "holds a password") }
      return try Self.password(Self.firstLine(bytes), from: path.printable)
    case .sharedFile(let path):
      let (bytes, _) = try SecretFile.read(path, limit: 64 << 10)
      return try Self.password(Self.firstLine(bytes), from: path.printable)
    case .descriptor(let descriptor):
      let line = try Self.line(of: descriptor)
      return try Self.password(line, from: "file descriptor \(descriptor)")
    case .terminal(let prompt):
      return try Self.password(try PasswordPrompt().ask(prompt), from: "the terminal")
    }
  }

  private static func firstLine(_ bytes: [UInt8]) -> [UInt8] {
    Array(bytes.prefix { $0 != UInt8(ascii: "\n") })
  }

  private static func password(_ line: [UInt8], from place: String) throws(DFSError) -> String {
    let bytes = line.last == UInt8(ascii: "\r") ? line.dropLast() : line[...]
    guard !bytes.isEmpty else {
      throw DFSError(.configuration, "no password came from \(place); it must be the first line")
    }
    guard bytes.count <= limit, let text = String(validating: bytes, as: UTF8.self) else {
      throw DFSError(
        .configuration, "the password from \(place) is not text in UTF-8 of at most \(limit) bytes")
    }
    return text
  }

  /// Reads a byte at a time, so that nothing after the line is taken.
  private static func line(of descriptor: Int32) throws(DFSError) -> [UInt8] {
    var line: [UInt8] = []
    var byte: UInt8 = 0
    while line.count <= limit {
      let count = Glibc.read(descriptor, &byte, 1)
      if count < 0, errno == EINTR { continue }
      guard count >= 0 else {
        throw DFSError(
          .configuration,
          "cannot read a password from file descriptor \(descriptor): "
            + String(cString: strerror(errno)))
      }
      if count == 0 || byte == UInt8(ascii: "\n") { break }
      line.append(byte)
    }
    return line
  }
}
