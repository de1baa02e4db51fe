public import Glibc
internal import Synchronization

/// A process that a program of the tests starts (posix_spawn(3)). It is in a group of its own: what a
/// terminal sends to stop the run reaches that program alone, which then ends the others.
public struct ChildProcess: Sendable {
  public let id: pid_t

  /// What a process reads or writes.
  public enum Stream {
    case null
    case descriptor(Int32)
    /// Made, or appended to.
    case file(String)
  }

  public static func start(
    _ program: String, _ arguments: [String], environment: [String: String] = [:],
    input: Stream = .null, output: Stream = .null, errors: Stream = .null
  ) throws -> ChildProcess {
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    for (number, stream) in [input, output, errors].enumerated() {
      add(stream, as: Int32(number), to: &actions)
    }
    var attributes = posix_spawnattr_t()
    posix_spawnattr_init(&attributes)
    defer { posix_spawnattr_destroy(&attributes) }
    var signals = sigset_t()
    sigemptyset(&signals)
    for signal in [SIGINT, SIGTERM, SIGHUP, SIGPIPE] { sigaddset(&signals, signal) }
    posix_spawnattr_setsigdefault(&attributes, &signals)
    posix_spawnattr_setflags(
      &attributes, Int16(POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGDEF))
    var id = pid_t()
    let words = ([program] + arguments).map { strdup($0) } + [nil]
    let variables = Self.environment(environment).map { strdup($0) } + [nil]
    defer { for word in words + variables { free(word) } }
    let status = Self.withoutStarts {
      posix_spawn(&id, program, &actions, &attributes, words, variables)
    }
    guard status == 0 else {
      throw StartFailure(
        description: "cannot start \(program): \(String(cString: strerror(status)))")
    }
    return ChildProcess(id: id)
  }

  private static func add(
    _ stream: Stream, as number: Int32, to actions: inout posix_spawn_file_actions_t
  ) {
    switch stream {
    case .null: posix_spawn_file_actions_addopen(&actions, number, "/dev/null", O_RDWR, 0)
    case .descriptor(let other): posix_spawn_file_actions_adddup2(&actions, other, number)
    case .file(let path):
      posix_spawn_file_actions_addopen(
        &actions, number, path, O_WRONLY | O_CREAT | O_APPEND, 0o600)
    }
  }

  private static func environment(_ changes: [String: String]) -> [String] {
    var lines: [String] = []
    var next = environ
    while let line = next.pointee {
      let text = String(cString: line)
      let name = text.prefix { $0 != "=" }
      if changes[String(name)] == nil { lines.append(text) }
      next += 1
    }
    return lines + changes.map { "\($0.key)=\($0.value)" }
  }

  private static let starting = Mutex(())

  /// Runs `body` while no process is being started, which would inherit what is half made.
  public static func withoutStarts<Value>(_ body: () -> Value) -> Value {
    starting.withLock { _ in body() }
  }

  // MARK: Its end

  public func kill(_ signal: Int32 = SIGKILL) { _ = Glibc.kill(id, signal) }

  /// With all that it has started, as far as that stayed in its group.
  public func killGroup() { _ = Glibc.kill(-id, SIGKILL) }

  /// Waits for the end.
  /// - Returns: the exit status; 128 and the signal's number if one ended it.
  @discardableResult
  public func wait() -> Int32 {
    var status: Int32 = 0
    while waitpid(id, &status, 0) < 0, errno == EINTR {}
    return Self.meaning(status)
  }

  /// - Returns: nil while it runs.
  public func endIfEnded() -> Int32? {
    var status: Int32 = 0
    return waitpid(id, &status, WNOHANG) == id ? Self.meaning(status) : nil
  }

  private static func meaning(_ status: Int32) -> Int32 {
    let signal = status & 0x7f
    return signal == 0 ? (status >> 8) & 0xff : 128 + signal
  }
}

/// Why a process could not be started.
struct StartFailure: Error, CustomStringConvertible {
  let description: String
}
