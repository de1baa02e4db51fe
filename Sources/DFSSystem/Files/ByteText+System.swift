public import DFSCore
internal import Glibc

/// What the process is given as bytes (words, variables, its directory), and paths on this machine.
extension ByteText {
  // MARK: The process

  /// The words of the command line, without the program's name.
  public static var commandLine: [String] {
    (1..<max(1, Int(CommandLine.argc))).compactMap { index in
      CommandLine.unsafeArgv[index].map { text(of: UnsafePointer($0)) }
    }
  }

  /// A variable of the environment; nil if it is unset or empty.
  public static func environment(_ name: String) -> String? {
    guard let value = getenv(name), value.pointee != 0 else { return nil }
    return text(of: UnsafePointer(value))
  }

  /// - Returns: nil if the directory is gone, or may not be known.
  public static var currentDirectory: String? {
    guard let path = getcwd(nil, 0) else { return nil }
    defer { free(path) }
    return text(of: UnsafePointer(path))
  }

  // MARK: Paths

  /// The path from the root; as it is, if the current directory is not known.
  public static func absolute(_ path: String) -> String {
    if path.utf8.first == UInt8(ascii: "/") { return path }
    return currentDirectory.map { ($0 == "/" ? "" : $0) + "/" + path } ?? path
  }

  /// The path without symbolic links; nil, with `errno`, if it leads nowhere.
  public static func real(_ path: String) -> String? {
    guard let real = realpath(path.systemPath, nil) else { return nil }
    defer { free(real) }
    return text(of: UnsafePointer(real))
  }

  /// The directory that a path is in, as the path says it.
  public static func directory(of path: String) -> String {
    guard let slash = path.utf8.lastIndex(of: UInt8(ascii: "/")) else { return "." }
    return slash == path.startIndex ? "/" : String(path[..<slash])
  }

  /// Makes a directory and those above it, for their owner only.
  public static func makeDirectories(_ path: String) throws(DFSError) {
    let bytes = bytes(of: path)
    for end in bytes.indices.dropFirst() + [bytes.count] {
      guard end == bytes.count || bytes[end] == UInt8(ascii: "/") else { continue }
      let above = bytes[..<end].map(CChar.init(bitPattern:)) + [0]
      if mkdir(above, 0o700) != 0, errno != EEXIST, errno != EISDIR {
        throw DFSError.system("cannot make the directory \(path.printable)")
      }
    }
  }

  // MARK: Paths for what takes UTF-8 only

  /// A path in UTF-8 to the same place, for libraries (SQLite's and Foundation's interfaces) that
  /// take no other: if need be through a descriptor of the directory, which stays open as long as the
  /// process. That directory must be there; what follows it may not.
  public static func plainPath(_ path: String) throws(DFSError) -> String {
    var (directory, rest) = (path[...], "")
    guard isEscaped(path) else { return path }
    while let slash = directory.utf8.lastIndex(of: UInt8(ascii: "/")),
      !isEscaped(directory[slash...])
    {
      rest = directory[slash...] + rest
      directory = directory[..<slash]
    }
    let name = String(directory)
    let descriptor = open(name.systemPath, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    guard descriptor >= 0 else {
      throw DFSError.system("cannot open the directory \(name.printable)")
    }
    let alias = "/proc/self/fd/\(descriptor)"
    note(alias: alias, of: name)
    return alias + rest
  }
}
