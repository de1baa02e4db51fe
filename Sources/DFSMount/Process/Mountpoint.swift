internal import DFSCore
internal import Foundation
internal import Glibc

/// The directory that is mounted on: what is there now, and taking it away again. These calls may
/// block (another mount may be frozen), so they are made on threads of their own.
public enum Mountpoint {
  enum Finding: Hashable, Sendable {
    /// An ordinary directory.
    case free
    /// A mount of ours, or another FUSE mount, that answers.
    case mounted
    /// A mount whose process is gone.
    case stale
  }

  /// The absolute path without symbolic links; a mount that is there is not asked.
  public static func resolve(_ path: String) -> String {
    let absolute =
      path.hasPrefix("/") ? path : FileManager.default.currentDirectoryPath + "/" + path
    let url = URL(fileURLWithPath: absolute).standardizedFileURL
    let isLink = (try? FileManager.default.destinationOfSymbolicLink(atPath: url.path)) != nil
    if isLink { return real(url.path) ?? url.path }
    guard url.path != "/", let parent = real(url.deletingLastPathComponent().path) else {
      return url.path
    }
    return (parent == "/" ? "" : parent) + "/" + url.lastPathComponent
  }

  private static func real(_ path: String) -> String? {
    guard let resolved = realpath(path, nil) else { return nil }
    defer { free(resolved) }
    return String(cString: resolved)
  }

  /// Looks at the mountpoint before mounting.
  static func examine(_ path: String) throws(DFSError) -> Finding {
    if isMounted(path) {
      return isStale(path) ? .stale : .mounted
    }
    if isStale(path) { return .stale }
    guard isDirectory(path) else {
      throw DFSError(
        .notDirectory, "\(path) is no directory to mount on; make it: mkdir -p '\(path)'")
    }
    return .free
  }

  private static func isDirectory(_ path: String) -> Bool {
    var isDirectory: ObjCBool = false
    return FileManager.default.fileExists(atPath: path, isDirectory: &isDirectory)
      && isDirectory.boolValue
  }

  /// Asked by opening the directory, which no cache of the kernel answers: just after its process
  /// was killed a mount still shows the attributes that it told last.
  private static func isStale(_ path: String) -> Bool {
    guard let directory = opendir(path) else { return errno == ENOTCONN || errno == ECONNABORTED }
    closedir(directory)
    return false
  }

  /// Whether a FUSE file system is mounted exactly there.
  static func isMounted(_ path: String) -> Bool { fuseType(at: path) != nil }

  /// The type of the FUSE file system that is mounted there: `fuse.dfs`.
  static func fuseType(at path: String) -> String? {
    guard let words = entry(at: path), let dash = words.firstIndex(of: "-"),
      dash + 1 < words.count, words[dash + 1].hasPrefix("fuse")
    else { return nil }
    return String(words[dash + 1])
  }

  /// The words of the last line for `path` in the table of mounts.
  private static func entry(at path: String) -> [Substring]? {
    guard let table = fopen("/proc/self/mountinfo", "r") else { return nil }
    defer { fclose(table) }
    var found: [Substring]?
    var line: UnsafeMutablePointer<CChar>?
    var size = 0
    defer { free(line) }
    while getline(&line, &size, table) > 0, let text = line {
      let words = String(cString: text).split(whereSeparator: { $0 == " " || $0 == "\n" })
      if words.count > 6, unescaped(words[4]) == path { found = words }
    }
    return found
  }

  /// `MAJOR:MINOR` of the file system that is mounted there.
  static func device(of path: String) -> String? { entry(at: path).map { String($0[2]) } }

  /// The kernel's number of the mount.
  static func number(of path: String) -> String? { entry(at: path).map { String($0[0]) } }

  /// Octal escapes of blanks, as in `/proc/self/mountinfo`.
  private static func unescaped(_ word: Substring) -> String {
    var bytes: [UInt8] = []
    var rest = Array(word.utf8)[...]
    while let byte = rest.popFirst() {
      if byte == UInt8(ascii: "\\"), rest.count >= 3,
        let value = UInt8(String(decoding: rest.prefix(3), as: UTF8.self), radix: 8)
      {
        bytes.append(value)
        rest = rest.dropFirst(3)
      } else {
        bytes.append(byte)
      }
    }
    return String(decoding: bytes, as: UTF8.self)
  }

  /// Unmounts.
  /// - Parameter lazily: at once, though files be open; they go on until they are closed.
  static func detach(_ path: String, lazily: Bool) throws(DFSError) {
    if geteuid() == 0 {
      guard umount2(path, lazily ? Int32(MNT_DETACH) : 0) == 0 else {
        throw .system("cannot unmount \(path)")
      }
      return
    }
    let status = try run("fusermount3", lazily ? ["-u", "-z", path] : ["-u", path])
    guard status.isEmpty else { throw DFSError(.busy, "cannot unmount \(path): \(status)") }
  }

  /// Runs a program.
  /// - Returns: what it said, if it failed.
  private static func run(_ program: String, _ arguments: [String]) throws(DFSError) -> String {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    process.arguments = [program] + arguments
    let output = Pipe()
    process.standardError = output
    do {
      try process.run()
    } catch { throw DFSError(.inputOutput, "cannot run \(program)", cause: error) }
    let text = output.fileHandleForReading.readDataToEndOfFile()
    process.waitUntilExit()
    guard process.terminationStatus != 0 else { return "" }
    let words = String(decoding: text, as: UTF8.self).split(separator: "\n").joined(separator: " ")
    return words.isEmpty ? "status \(process.terminationStatus)" : words
  }
}
