internal import DFSSystem
internal import Glibc
internal import SystemPackage

/// Standard error, for what people read: problems, notes, progress.
public enum StandardError {
  /// Writes the text as it is, without a line feed of its own; a failure is ignored.
  public static func write(_ text: String) { writeAll(text, to: STDERR_FILENO) }

  /// Takes a line of progress off a terminal.
  public static func eraseLine() {
    if isatty(STDERR_FILENO) == 1 { write("\r\u{1b}[K") }
  }
}

/// Writes every byte. Nobody is left to be told of a stream that cannot be written.
func writeAll(_ text: String, to descriptor: Int32) {
  try? FileDescriptor(rawValue: descriptor).writeWhole(Array(text.utf8))
}
