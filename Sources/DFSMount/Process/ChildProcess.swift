internal import CLinux
internal import DFSCore
internal import DFSSystem
internal import Glibc
internal import SystemPackage

/// Programs that are run to their end. Foundation's would take words in UTF-8 only.
enum ChildProcess {
  /// Runs a program of PATH.
  /// - Parameter words: its name and arguments (`ByteText`).
  /// - Returns: what it said on standard error, if it failed.
  static func run(_ words: [String]) throws(DFSError) -> String? {
    let name = words[0]
    let output = try ErrorCapture()
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0)
    posix_spawn_file_actions_adddup2(&actions, output.descriptor, STDERR_FILENO)
    var arguments = words.map { strdup($0.systemPath) } + [nil]
    defer { for argument in arguments { free(argument) } }
    var process: pid_t = 0
    let failure = posix_spawnp(&process, name, &actions, nil, &arguments, environ)
    guard failure == 0 else { throw .system("cannot run \(name)", failure) }
    var result: Int32 = 0
    while waitpid(process, &result, 0) < 0 {
      guard errno == EINTR else { throw .system("cannot wait for \(name)") }
    }
    guard result != 0 else { return nil }
    let said = output.text
    return said.isEmpty ? "\(name) ended with status \(result >> 8 & 0xff)" : said
  }
}

/// What goes to standard error, in a file without a name.
struct ErrorCapture: ~Copyable {
  let descriptor: Int32
  private static let limit = 1 << 20

  init() throws(DFSError) {
    descriptor = dfs_memory_file("dfs-mount-errors")
    guard descriptor >= 0 else { throw .system("cannot make a file in memory") }
  }

  deinit { close(descriptor) }

  var bytes: [UInt8] {
    let size = max(0, min(Self.limit, Int(lseek(descriptor, 0, SEEK_END))))
    var bytes = [UInt8](repeating: 0, count: size)
    let count = pread(descriptor, &bytes, bytes.count, 0)
    return Array(bytes.prefix(max(0, count)))
  }

  /// In one line.
  var text: String {
    ByteText.text(of: bytes).unicodeScalars.split(separator: "\n").map { String($0).printable }
      .joined(separator: "; ")
  }

  /// What is written to this process's own standard error while `body` runs, by whomever. It gets
  /// there all the same, afterwards.
  static func during<Value>(_ body: () -> Value) -> (Value, said: String) {
    guard let capture = try? ErrorCapture() else { return (body(), "") }
    let before = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 10)
    guard before >= 0 else { return (body(), "") }
    defer { close(before) }
    dup2(capture.descriptor, STDERR_FILENO)
    let value = body()
    dup2(before, STDERR_FILENO)
    let bytes = capture.bytes
    try? FileDescriptor.standardError.writeWhole(bytes)
    return (value, capture.text)
  }
}
