import DFSCommandLine
import DFSCore
import DFSSystem
import Glibc

/// Commands from a pipe or a file, one a line. One that fails does not stop the others.
struct Script {
  /// Bytes of the longest line.
  static let lineBytes = 1 << 20

  let session: Session

  /// - Returns: `failed` if one command failed.
  func run() async -> ExitStatus {
    do {
      // A login that fails is said once, not for every line.
      _ = try await session.service()
    } catch {
      let status = session.report(error)
      if status == .login || status == .usage { return status }
    }
    var status = ExitStatus.success
    while true {
      do {
        guard let line = try await offload({ try Self.line() }) else { return status }
        try await Commands.run(Words.split(line), in: session)
      } catch is Exit.Left {
        return status
      } catch {
        if session.report(error) != .success { status = .failed }
      }
    }
  }

  /// The next line of standard input, without its end; nil at the end. Blocks. A byte at a time, so
  /// that what a child or --password-fd 0 is to read stays there.
  private static func line() throws(DFSError) -> String? {
    var line: [UInt8] = []
    var byte: UInt8 = 0
    while line.count < lineBytes {
      let count = read(STDIN_FILENO, &byte, 1)
      if count < 0, errno == EINTR { continue }
      guard count >= 0 else { throw .system("cannot read standard input") }
      if count == 0 { return line.isEmpty ? nil : text(line) }
      if byte == UInt8(ascii: "\n") { return text(line) }
      line.append(byte)
    }
    throw DFSError(.configuration, "a line has more than \(lineBytes) bytes")
  }

  private static func text(_ line: [UInt8]) -> String {
    ByteText.text(of: line.last == UInt8(ascii: "\r") ? line.dropLast() : line[...])
  }
}
