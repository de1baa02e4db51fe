public import DFSCore
internal import DFSSystem
internal import Foundation
internal import Glibc

/// Starts this program again as a process of its own, and waits until its mount answers.
///
/// A process of Swift has threads before its first line and must not be forked; so it is spawned,
/// in a session of its own, with its standard output going to the log.
public struct Background: Sendable {
  /// For the whole of mounting.
  private static let limit = Duration.seconds(10)
  /// The descriptors that the new process finds: where it reports to, and reads the password from.
  public static let statusDescriptor: Int32 = 3
  /// Where the new process reads the password from: one line.
  public static let passwordDescriptor: Int32 = 4

  /// The program's arguments (`ByteText`), without its name.
  private let arguments: [String]
  private let mountpoint: String
  private let logFile: String

  /// - Parameters:
  ///   - arguments: of the new process, without the program's name (`ByteText`).
  ///   - mountpoint: named in messages, and unmounted if the mount does not answer in time.
  ///   - logFile: what the new process writes to standard output and error is added to it.
  public init(arguments: [String], mountpoint: String, logFile: String) {
    self.arguments = arguments
    self.mountpoint = mountpoint
    self.logFile = logFile
  }

  /// - Returns: the exit status and the message to end with.
  public func start(password: String) throws(DFSError) -> (status: Int32, message: String) {
    let status = try Self.pipe()
    let secret = try Self.pipe()
    let process = try spawn(status: status.write, password: secret.read)
    close(status.write)
    close(secret.read)
    let line = Array((password + "\n").utf8)
    _ = line.withUnsafeBytes { write(secret.write, $0.baseAddress, $0.count) }
    close(secret.write)
    do throws(DFSError) {
      if let told = try StatusPipe.read(status.read, within: Self.limit) { return told }
    } catch {
      end(process)
      throw DFSError(
        .timedOut,
        "\(mountpoint.printable) was not mounted within \(Int(Self.limit.seconds)) s; see "
          + logFile.printable)
    }
    var result: Int32 = 0
    waitpid(process, &result, 0)
    throw DFSError(
      .inputOutput, "the process of the mount ended with status \(result); see \(logFile.printable)"
    )
  }

  private func spawn(status: Int32, password: Int32) throws(DFSError) -> pid_t {
    let log = try LogFile.open(logFile)
    defer { close(log) }
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0)
    posix_spawn_file_actions_adddup2(&actions, log, STDOUT_FILENO)
    posix_spawn_file_actions_adddup2(&actions, log, STDERR_FILENO)
    posix_spawn_file_actions_adddup2(&actions, status, Self.statusDescriptor)
    posix_spawn_file_actions_adddup2(&actions, password, Self.passwordDescriptor)
    Self.keepInheritedDescriptorsHere()
    var attributes = posix_spawnattr_t()
    posix_spawnattr_init(&attributes)
    defer { posix_spawnattr_destroy(&attributes) }
    posix_spawnattr_setflags(&attributes, Int16(0x80))  // POSIX_SPAWN_SETSID
    var words = (["dfs-mount"] + arguments).map { strdup($0.systemPath) } + [nil]
    defer { for word in words { free(word) } }
    var process: pid_t = 0
    let failure = posix_spawn(&process, try Self.program(), &actions, &attributes, &words, environ)
    guard failure == 0 else { throw .system("cannot start the process of the mount", failure) }
    return process
  }

  /// Whatever the caller had open is none of the mount's: a pipe or socket kept open there for days
  /// would leave somebody waiting for its end.
  private static func keepInheritedDescriptorsHere() {
    let names = (try? FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd")) ?? []
    for descriptor in names.compactMap({ Int32($0) }) where descriptor > STDERR_FILENO {
      _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC)
    }
  }

  /// This program's file.
  private static func program() throws(DFSError) -> [CChar] {
    var path = [CChar](repeating: 0, count: Int(PATH_MAX) + 1)
    guard readlink("/proc/self/exe", &path, path.count - 1) > 0 else {
      throw .system("cannot find this program's file in /proc/self/exe")
    }
    return path
  }

  /// Both ends, out of the way of the descriptors that the new process gets.
  private static func pipe() throws(DFSError) -> (read: Int32, write: Int32) {
    var ends: [Int32] = [-1, -1]
    guard Glibc.pipe(&ends) == 0 else { throw .system("cannot make a pipe") }
    let moved = ends.map { fcntl($0, F_DUPFD_CLOEXEC, 10) }
    for end in ends { close(end) }
    guard moved.allSatisfy({ $0 >= 0 }) else { throw .system("cannot make a pipe") }
    return (moved[0], moved[1])
  }

  /// Nothing is left mounted.
  private func end(_ process: pid_t) {
    kill(process, SIGKILL)
    var result: Int32 = 0
    waitpid(process, &result, 0)
    if Mountpoint.isMounted(mountpoint) { try? Mountpoint.detach(mountpoint, lazily: true) }
  }
}
