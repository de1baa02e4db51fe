internal import DFSCore
internal import DFSSystem
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
    let slash = UInt8(ascii: "/")
    var bytes = ByteText.bytes(of: ByteText.absolute(path))
    while bytes.last == slash { bytes.removeLast() }
    guard let last = bytes.lastIndex(of: slash) else { return "/" }
    let (absolute, name) = (ByteText.text(of: bytes), bytes[(last + 1)...])
    let isDots = name.elementsEqual(".".utf8) || name.elementsEqual("..".utf8)
    if isDots || isLink(absolute) { return ByteText.real(absolute) ?? absolute }
    guard let parent = ByteText.real(ByteText.text(of: bytes[...last])) else { return absolute }
    return (parent == "/" ? "" : parent) + "/" + ByteText.text(of: name)
  }

  private static func isLink(_ path: String) -> Bool {
    var target: CChar = 0
    return readlink(path.systemPath, &target, 1) >= 0
  }

  /// Looks at the mountpoint before mounting.
  static func examine(_ path: String) throws(DFSError) -> Finding {
    if isMounted(path) {
      return isStale(path) ? .stale : .mounted
    }
    if isStale(path) { return .stale }
    guard isDirectory(path) else {
      throw DFSError(
        .notDirectory,
        "\(path.printable) is not a directory to mount on; make it: mkdir -p '\(path.printable)'")
    }
    return .free
  }

  private static func isDirectory(_ path: String) -> Bool {
    let descriptor = open(path.systemPath, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    // Who may not list it may mount on it all the same.
    guard descriptor >= 0 else { return errno == EACCES }
    close(descriptor)
    return true
  }

  /// Asked by opening the directory, which no cache of the kernel answers: just after its process
  /// was killed a mount still shows the attributes that it told last.
  private static func isStale(_ path: String) -> Bool {
    guard let directory = opendir(path.systemPath) else {
      return errno == ENOTCONN || errno == ECONNABORTED
    }
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
    let wanted = ByteText.bytes(of: path)
    var found: [Substring]?
    var line: UnsafeMutablePointer<CChar>?
    var size = 0
    defer { free(line) }
    while getline(&line, &size, table) > 0, let text = line {
      let words = ByteText.text(of: text).unicodeScalars
        .split { $0 == " " || $0 == "\n" }.map { Substring($0) }
      if words.count > 6, unescaped(ByteText.bytes(of: words[4])) == wanted { found = words }
    }
    return found
  }

  /// `MAJOR:MINOR` of the file system that is mounted there.
  static func device(of path: String) -> String? { entry(at: path).map { String($0[2]) } }

  /// The kernel's number of the mount.
  static func number(of path: String) -> String? { entry(at: path).map { String($0[0]) } }

  /// Octal escapes of blanks, as in `/proc/self/mountinfo`.
  private static func unescaped(_ word: [UInt8]) -> [UInt8] {
    var bytes: [UInt8] = []
    var rest = word[...]
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
    return bytes
  }

  /// Unmounts.
  /// - Parameter lazily: at once, though files be open; they go on until they are closed.
  static func detach(_ path: String, lazily: Bool) throws(DFSError) {
    if geteuid() == 0 {
      guard umount2(path.systemPath, lazily ? Int32(MNT_DETACH) : 0) == 0 else {
        throw .system("cannot unmount \(path.printable)")
      }
      return
    }
    let words = ["fusermount3", "-u"] + (lazily ? ["-z"] : []) + ["--", path]
    if let problem = try ChildProcess.run(words) {
      throw DFSError(.busy, "cannot unmount \(path.printable): \(problem)")
    }
  }
}
