import DFSCore
import Glibc
import Synchronization
import UnixSignals

/// What SIGINT, SIGTERM and SIGHUP do: one task takes them as they come.
///
/// Invariant: temporary files that are registered here are removed before a signal ends the process,
/// and the terminal gets its settings back. At the prompt the first SIGINT only cancels the command
/// that runs.
final class Interrupts: Sendable {
  static let shared = Interrupts()

  private struct State {
    var temporaryFiles: Set<TemporaryName> = []
    /// Cancels the command of the prompt that runs; taken by the first SIGINT.
    var cancel: (@Sendable () -> Void)?
    var terminal: termios?
  }

  private let state = Mutex(State())

  /// Must be called before anything is registered.
  func begin() async {
    // A reader that went away is an error of a write, not the end of the process.
    signal(SIGPIPE, SIG_IGN)
    var terminal = termios()
    if tcgetattr(STDIN_FILENO, &terminal) == 0 { state.withLock { $0.terminal = terminal } }
    let signals = await UnixSignalsSequence(
      trapping: [.sigint, .sigterm, .sighup].filter { !$0.isIgnored })
    Task { for await signal in signals { take(signal.rawValue) } }
  }

  private func take(_ signal: Int32) {
    let cancel = state.withLock { state in
      defer { state.cancel = nil }
      return signal == SIGINT ? state.cancel : nil
    }
    if let cancel { return cancel() }
    end(by: signal)
  }

  /// Removes what is temporary and ends the process as the signal does.
  private func end(by number: Int32) -> Never {
    state.withLock { state in
      for file in state.temporaryFiles { file.remove() }
      if var terminal = state.terminal { tcsetattr(STDIN_FILENO, TCSANOW, &terminal) }
      signal(number, SIG_DFL)
      // Threads that tasks run on have the signals blocked.
      var signals = sigset_t()
      sigemptyset(&signals)
      sigaddset(&signals, number)
      pthread_sigmask(SIG_UNBLOCK, &signals, nil)
      pthread_kill(pthread_self(), number)
    }
    _exit(128 + number)
  }

  // MARK: Temporary files

  func register(_ file: TemporaryName) { state.withLock { _ = $0.temporaryFiles.insert(file) } }
  func forget(_ file: TemporaryName) { state.withLock { _ = $0.temporaryFiles.remove(file) } }

  // MARK: Commands of the prompt

  /// Runs a command that the first SIGINT cancels; the second ends the process.
  func cancellable(_ command: @escaping @Sendable () async throws -> Void) async throws {
    let task = Task { try await command() }
    state.withLock { $0.cancel = { task.cancel() } }
    defer { state.withLock { $0.cancel = nil } }
    try await task.value
  }
}

extension UnixSignal {
  /// Whether who started this process has it ignore the signal (nohup): so it stays.
  fileprivate var isIgnored: Bool {
    var action = sigaction()
    sigaction(rawValue, nil, &action)
    return unsafeBitCast(action.__sigaction_handler.sa_handler, to: Int.self) == 1
  }
}
