import DFSCore
import Foundation
import Glibc
import Synchronization

/// What SIGINT, SIGTERM and SIGHUP do: their handler only passes the number on through a pipe, to one
/// thread that does the rest.
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
  private static let signals = [SIGINT, SIGTERM, SIGHUP]

  /// Must be called before anything is registered.
  func begin() {
    // A reader that went away is an error of a write, not the end of the process.
    signal(SIGPIPE, SIG_IGN)
    var terminal = termios()
    if tcgetattr(STDIN_FILENO, &terminal) == 0 { state.withLock { $0.terminal = terminal } }
    let arrivals = arrivals
    Thread.detachNewThread {
      var number: UInt8 = 0
      while true {
        if read(arrivals.end, &number, 1) == 1 { self.take(Int32(number)) }
      }
    }
    for number in Self.signals {
      // One that whoever started this process ignores (nohup) stays ignored.
      let before = signal(number, arrive)
      if unsafeBitCast(before, to: Int.self) == 1 { signal(number, SIG_IGN) }
    }
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

/// The pipe from the handler to the thread; it exists before the handler does.
private let arrivals: (end: Int32, begin: Int32) = {
  var ends: [Int32] = [-1, -1]
  pipe(&ends)
  return (ends[0], ends[1])
}()

/// Runs in any thread, in the middle of anything: nothing but `write` is allowed here.
private func arrive(_ number: Int32) {
  let before = errno
  var byte = UInt8(truncatingIfNeeded: number)
  _ = write(arrivals.begin, &byte, 1)
  errno = before
}
