internal import DFSCore
internal import Glibc

/// Asks for a line on a terminal without showing it.
///
/// The terminal gives every key at once and raises no signal while the question is open, so that
/// its settings are always put back, whatever key ends the question.
struct PasswordPrompt {
  /// The terminal: by default the one that controls the process, though its standard input be a
  /// pipe.
  var terminal = "/dev/tty"

  /// - Throws: `configuration` if there is no terminal, `cancelled` on Control-C and Control-D.
  func ask(_ prompt: String) throws(DFSError) -> [UInt8] {
    let descriptor = open(terminal, O_RDWR | O_CLOEXEC | O_NOCTTY)
    var before = termios()
    guard descriptor >= 0, tcgetattr(descriptor, &before) == 0 else {
      if descriptor >= 0 { close(descriptor) }
      throw DFSError(
        .configuration,
        "there is no password and no terminal to ask for it; "
          + "give it in the configuration, with --password-file or with --password-fd")
    }
    defer { close(descriptor) }
    var silent = before
    silent.c_lflag &= ~tcflag_t(ECHO | ICANON | ISIG)
    tcsetattr(descriptor, TCSAFLUSH, &silent)
    defer { tcsetattr(descriptor, TCSAFLUSH, &before) }
    Self.show(prompt, on: descriptor)
    defer { Self.show("\n", on: descriptor) }
    return try Self.answer(from: descriptor)
  }

  private static func answer(from descriptor: Int32) throws(DFSError) -> [UInt8] {
    var answer: [UInt8] = []
    var key: UInt8 = 0
    while true {
      let count = read(descriptor, &key, 1)
      if count < 0, errno == EINTR { continue }
      guard count == 1 else { throw cancelled }
      switch key {
      case UInt8(ascii: "\n"), UInt8(ascii: "\r"): return answer
      case 3,
        4 where answer.isEmpty:
        throw cancelled  // Control-C, Control-D
      case 4: return answer
      case 8, 127: erase(&answer)
      case 21: answer.removeAll()  // Control-U
      default: if answer.count <= PasswordSource.limit { answer.append(key) }
      }
    }
  }

  /// Removes the last character, which may be several bytes of UTF-8.
  private static func erase(_ answer: inout [UInt8]) {
    while let byte = answer.popLast(), byte & 0xc0 == 0x80 {}
  }

  private static func show(_ text: String, on descriptor: Int32) {
    let bytes = Array(text.utf8)
    _ = write(descriptor, bytes, bytes.count)
  }

  private static let cancelled = DFSError(.cancelled, "no password was given")
}
