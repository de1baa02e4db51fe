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
  static let bound = 1024

  /// - Throws: `configuration` if there is no password to be had here, `cancelled` if the question
  ///   was answered with Control-C or Control-D.
  public func read() throws(DFSError) -> String {
    switch self {
    case .file(let path):
      let (bytes, exposure) = try SecretFile.read(path, bound: 64 << 10)
      guard exposure == 0 else { throw SecretFile.exposed(path, "holds a password") }
      return try Self.password(Self.firstLine(bytes), from: path.printable)
    case .sharedFile(let path):
      let (bytes, _) = try SecretFile.read(path, bound: 64 << 10)
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
    guard bytes.count <= bound, let text = String(validating: bytes, as: UTF8.self) else {
      throw DFSError(
        .configuration, "the password from \(place) is not text in UTF-8 of at most \(bound) bytes")
    }
    return text
  }

  /// Reads a byte at a time, so that nothing after the line is taken.
  private static func line(of descriptor: Int32) throws(DFSError) -> [UInt8] {
    var line: [UInt8] = []
    var byte: UInt8 = 0
    while line.count <= bound {
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

extension Credentials {
  /// Who logs in, and with what.
  ///
  /// The password comes from `source` if there is one; else from the configuration (its password,
  /// then its password file) if that is of the same user; else it is asked for on the terminal.
  /// - Parameter user: instead of the configuration's.
  public static func of(
    _ configuration: ClientConfiguration, user: UserName? = nil, source: PasswordSource? = nil
  ) throws(DFSError) -> Credentials {
    guard let name = user ?? configuration.user else {
      throw DFSError(
        .configuration, "no user is named; add a line 'Username NAME' to the configuration")
    }
    let isConfigured = configuration.user == nil || configuration.user == name
    if source == nil, isConfigured, let password = configuration.password {
      return Credentials(user: name, password: password)
    }
    let configured = isConfigured ? configuration.passwordFile.map(PasswordSource.file) : nil
    let asked = PasswordSource.terminal(prompt: "Password of \(name): ")
    return Credentials(user: name, password: try (source ?? configured ?? asked).read())
  }
}

/// Who logs in, and where the password may be read again after a server refused it.
public struct RenewableCredentials: Sendable {
  /// What to log in with first.
  public let credentials: Credentials
  private let reread: @Sendable () throws(DFSError) -> Credentials?

  /// A password that no file says: there is nothing to be read again.
  public init(_ credentials: Credentials) {
    self.credentials = credentials
    reread = { () throws(DFSError) in nil }
  }

  /// - Parameters:
  ///   - path: of the configuration, which may name the password or its file.
  ///   - passwordFile: instead of those.
  public init(_ credentials: Credentials, configuration path: String, passwordFile: String?) {
    self.credentials = credentials
    reread = { () throws(DFSError) in
      let configuration = try ClientConfiguration.read(path: path)
      let isThere = configuration.password != nil || configuration.passwordFile != nil
      let isTheirs = configuration.user == nil || configuration.user == credentials.user
      guard passwordFile != nil || isThere && isTheirs else { return nil }
      return try Credentials.of(
        configuration, user: credentials.user, source: passwordFile.map(PasswordSource.file))
    }
  }

  /// What the files say now. Blocks.
  /// - Returns: nil if no file says it: the password was typed.
  /// - Throws: as `PasswordSource.read`.
  public func renewed() throws(DFSError) -> Credentials? { try reread() }
}
