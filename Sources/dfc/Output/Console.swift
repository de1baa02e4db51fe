import DFSCommandLine
import DFSCore
import DFSSystem
import Glibc
import Synchronization
import SystemPackage

/// Standard output and standard error, and the progress bar that may stand on the latter.
///
/// Results go to standard output; problems, notes and the bar to standard error. On a terminal
/// control characters of names are escaped; elsewhere names are written as they are.
final class Console: Sendable {
  let isOutputTerminal = isatty(STDOUT_FILENO) == 1
  let isErrorTerminal = isatty(STDERR_FILENO) == 1
  /// Whether the last line of the terminal is a bar.
  private let hasBar = Mutex(false)

  // MARK: Results

  func write(_ bytes: [UInt8]) async throws {
    try await offload {
      if self.isOutputTerminal { self.clearBar() }
      try bytes.withUnsafeBytes { try writeAll($0, to: STDOUT_FILENO, named: "standard output") }
    }
  }

  func line(_ text: String) async throws { try await write(Array((text + "\n").utf8)) }

  /// The bytes that show a name on standard output.
  func shown(_ name: FileName) -> [UInt8] {
    isOutputTerminal ? Array(name.description.utf8) : name.bytes
  }

  // MARK: Problems and notes

  /// Something that went wrong: always shown.
  func problem(_ text: String) {
    hasBar.withLock { hasBar in
      Self.error((hasBar ? Self.erase : "") + text + "\n")
      hasBar = false
    }
  }

  // MARK: The bar

  func show(bar: String) {
    hasBar.withLock { hasBar in
      Self.error(Self.erase + bar)
      hasBar = true
    }
  }

  func clearBar() {
    hasBar.withLock { hasBar in
      if hasBar { Self.error(Self.erase) }
      hasBar = false
    }
  }

  /// Columns of the terminal.
  var width: Int {
    var size = winsize()
    guard ioctl(STDERR_FILENO, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0 else { return 80 }
    return Int(size.ws_col)
  }

  private static let erase = "\r\u{1b}[K"

  private static func error(_ text: String) {
    let bytes = Array(text.utf8)
    // Nobody is left to be told that standard error cannot be written.
    try? bytes.withUnsafeBytes { try writeAll($0, to: STDERR_FILENO, named: "standard error") }
  }
}

/// Writes every byte.
func writeAll(_ bytes: UnsafeRawBufferPointer, to descriptor: Int32, named name: String)
  throws(DFSError)
{
  do {
    try FileDescriptor(rawValue: descriptor).writeWhole(bytes)
  } catch {
    throw .system("cannot write to \(name)", error.rawValue)
  }
}
