internal import DFSCore
internal import Glibc

/// Where a new password comes from: a file, a terminal (twice, without echo), or standard input.
enum PasswordInput {
  private static let bytesBound = 1024

  static func read(file: String?, user: UserName) throws(DFSError) -> String {
    let password: String
    if let file {
      password = try firstLine(ofFile: file)
    } else if isatty(STDIN_FILENO) == 1 {
      password = try ask("Password for \(user): ")
      guard try ask("Again: ") == password else {
        throw DFSError(.configuration, "the passwords differ; nothing was changed")
      }
    } else {
      password = try line(from: STDIN_FILENO, "standard input")
    }
    guard !password.isEmpty else {
      throw DFSError(.configuration, "an empty password; nothing was changed")
    }
    return password
  }

  /// A password of 120 random bits, in letters and digits that are hard to mistake for others.
  static func generated() -> String {
    let letters = Array("0123456789abcdefghjkmnpqrstvwxyz")
    var generator = SystemRandomNumberGenerator()
    let text = (0..<24).map { _ in letters[Int.random(in: 0..<32, using: &generator)] }
    return stride(from: 0, to: 24, by: 4).map { String(text[$0..<$0 + 4]) }.joined(separator: "-")
  }

  private static func firstLine(ofFile path: String) throws(DFSError) -> String {
    let descriptor = open(path.systemPath, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else {
      throw DFSError(
        .configuration, "cannot read \(path.printable): \(String(cString: strerror(errno)))")
    }
    defer { close(descriptor) }
    return try line(from: descriptor, path)
  }

  /// Asks on the terminal, which shows nothing of what is typed.
  private static func ask(_ prompt: String) throws(DFSError) -> String {
    StandardError.write(prompt)
    var shown = termios()
    guard tcgetattr(STDIN_FILENO, &shown) == 0 else {
      throw DFSError(.inputOutput, "the terminal cannot be set to hide a password")
    }
    var hidden = shown
    hidden.c_lflag &= ~tcflag_t(ECHO)
    tcsetattr(STDIN_FILENO, TCSAFLUSH, &hidden)
    defer {
      tcsetattr(STDIN_FILENO, TCSAFLUSH, &shown)
      StandardError.write("\n")
    }
    return try line(from: STDIN_FILENO, "the terminal")
  }

  /// One line, without its end; byte by byte, so that nothing after it is taken.
  private static func line(from descriptor: Int32, _ name: String) throws(DFSError) -> String {
    var bytes: [UInt8] = []
    var byte: UInt8 = 0
    while true {
      let count = Glibc.read(descriptor, &byte, 1)
      if count < 0, errno == EINTR { continue }
      guard count >= 0 else {
        throw DFSError(
          .inputOutput, "cannot read \(name.printable): \(String(cString: strerror(errno)))")
      }
      if count == 0 || byte == UInt8(ascii: "\n") { break }
      bytes.append(byte)
      guard bytes.count <= bytesBound else {
        throw DFSError(.configuration, "a password of more than \(bytesBound) bytes")
      }
    }
    if bytes.last == UInt8(ascii: "\r") { bytes.removeLast() }
    guard let text = String(validating: bytes, as: UTF8.self) else {
      throw DFSError(.configuration, "a password that is not UTF-8")
    }
    return text
  }
}
