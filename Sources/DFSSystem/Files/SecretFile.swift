public import DFSCore
internal import Glibc
internal import SystemPackage

/// Small text files that may hold a secret, read with the system's own calls.
public enum SecretFile {
  /// The whole of a file.
  /// - Parameter limit: bytes; a longer file is refused.
  /// - Returns: the bytes, and the permission bits by which others could read them (0 for what is
  ///   no regular file, such as a pipe).
  public static func read(_ path: String, limit: Int) throws(DFSError) -> (
    bytes: [UInt8], exposure: UInt32
  ) {
    let descriptor = open(path.systemPath, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { throw cannotRead(path) }
    defer { close(descriptor) }
    var status = stat()
    guard fstat(descriptor, &status) == 0 else { throw cannotRead(path) }
    let bytes: [UInt8]?
    do {
      bytes = try FileDescriptor(rawValue: descriptor).readToEnd(limit: limit)
    } catch {
      throw cannotRead(path, error.rawValue)
    }
    guard let bytes else {
      throw DFSError(
        .configuration, "\(path.printable) is longer than \(limit) bytes; is it the right file?")
    }
    let isRegular = status.st_mode & S_IFMT == S_IFREG
    return (bytes, isRegular ? status.st_mode & 0o077 : 0)
  }

  /// The refusal of a file that holds a secret and that others can read.
  public static func exposed(_ path: String, _ what: String) -> DFSError {
    DFSError(
      .configuration,
      "\(path.printable) \(what) and others can read it; run: chmod 600 \(shellQuoted(path))")
  }

  private static func cannotRead(_ path: String, _ number: Int32 = errno) -> DFSError {
    DFSError(.configuration, "cannot read \(path.printable): \(String(cString: strerror(number)))")
  }

  /// The word as a shell reads it back.
  public static func shellQuoted(_ word: String) -> String {
    let isPlain = word.utf8.allSatisfy { byte in
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._/+=:@%".utf8.contains(byte)
    }
    if isPlain, !word.isEmpty { return word }
    let quoted = word.split(separator: "'", omittingEmptySubsequences: false)
      .joined(separator: "'\\''")
    let shown = quoted.printable
    // What a terminal cannot show, bash and zsh read back in the quotes that show it.
    return shown == quoted ? "'\(quoted)'" : "$'\(word.ansiQuoted)'"
  }
}

extension String {
  /// For between `$'` and `'`.
  fileprivate var ansiQuoted: String {
    unicodeScalars.map { "\\'".unicodeScalars.contains($0) ? "\\\($0)" : String($0).printable }
      .joined()
  }
}
