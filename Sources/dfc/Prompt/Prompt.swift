import CEdit
import DFSClient
import DFSCommandLine
import DFSCore
import Glibc
import Synchronization

/// The prompt on a terminal: libedit edits the lines and recalls old ones.
///
/// While a line is edited, Control-C is a key that drops the line; while a command runs, it cancels
/// the command.
struct Prompt {
  /// Control-C was pressed in the line.
  private static let isDropped = Atomic(false)

  /// Whose names the TAB key completes.
  private static let completing = Mutex<Session?>(nil)

  let session: Session

  func run() async -> ExitStatus {
    let history = History()
    Self.completing.withLock { $0 = session }
    try? await offload { Self.begin(history.load()) }
    if let status = await greet() { return status }
    while true {
      guard let read = try? await offload({ Self.read() }) else { return .failed }
      switch read {
      case .end: return .success
      case .dropped: continue
      case .line(let line):
        if await !perform(line, history) { return .success }
      }
    }
  }

  /// Connects at once, so that what is wrong is known before the first command.
  /// - Returns: a status to leave with: nobody is logged in.
  private func greet() async -> ExitStatus? {
    for _ in 1...3 {
      do {
        let service = try await session.service()
        let states = await service.serverStates()
        // An account that one server refuses was spoken of already.
        for state in states where !state.isUp && state.problem?.code != .loginFailed {
          let problem = state.problem.map { ": \($0.message)" } ?? ""
          session.note("\(state.server) is down\(problem)")
        }
        session.note(
          "\(states.filter(\.isUp).count) of \(states.count) servers are up; 'help' helps")
        return nil
      } catch {
        let status = session.report(error)
        guard status == .login else { return status == .serversMissing ? nil : status }
        guard await session.canAskAgain else { return status }
      }
    }
    return .login
  }

  /// - Returns: false to leave.
  private func perform(_ line: String, _ history: History) async -> Bool {
    do {
      let words = try Words.split(line)
      guard let word = words.first else { return true }
      let type = try? Commands.named(word)
      if type?.mayBeKept(Array(words.dropFirst())) ?? true {
        try? await offload {
          add_history(line)
          history.add(line)
        }
      }
      try await Interrupts.shared.cancellable { [session] in
        try await Commands.run(words, in: session)
      }
    } catch is Exit.Left {
      return false
    } catch {
      if session.report(error) == .interrupted { session.console.problem("interrupted") }
    }
    return true
  }

  // MARK: Lines. All this blocks.

  private enum Read: Sendable {
    /// All bytes, as `ByteText` has them.
    case line(String)
    case dropped
    case end
  }

  private static func begin(_ lines: [String]) {
    setlocale(LC_ALL, "")
    PromptInput.begin()
    // libedit learns what the keys are from the terminal as it will be.
    withoutInterruptKey {
      dfs_edit_begin("dfc")
      rl_add_defun(
        "dfc-drop-line",
        { _, _ in
          Prompt.isDropped.store(true, ordering: .relaxed)
          dfs_edit_finish()
          return 0
        }, controlC)
      rl_add_defun(
        "dfc-complete",
        { _, _ in
          Prompt.complete()
          return 0
        }, Int32(UInt8(ascii: "\t")))
    }
    for line in lines { add_history(line) }
  }

  private static func read() -> Read {
    let line = withoutInterruptKey { readline("dfc> ") }
    defer { free(line) }
    if isDropped.exchange(false, ordering: .relaxed) {
      _ = puts("^C")
      return .dropped
    }
    guard let line else {
      _ = puts("")
      return .end
    }
    return .line(String(cString: line))
  }

  /// The TAB key.
  private static func complete() {
    guard let session = completing.withLock({ $0 }), let line = dfs_edit_line() else { return }
    let start = UnsafeRawBufferPointer(start: line, count: Int(dfs_edit_cursor()))
    let completion = Completion(String(decoding: start, as: UTF8.self), in: session)
    // The editor shows its line from the beginning of a line of the terminal on.
    let names = completion.names.joined(separator: "  ")
    print(names.isEmpty ? "\r\u{1b}[K" : "\n\(names)\n", terminator: "")
    fflush(nil)
    if !completion.text.isEmpty { dfs_edit_insert(completion.text) }
    dfs_edit_show()
  }

  private static let controlC: Int32 = 3

  /// While `body` runs, Control-C is a key like others and raises no signal.
  private static func withoutInterruptKey<Value>(_ body: () -> Value) -> Value {
    var terminal = termios()
    tcgetattr(STDIN_FILENO, &terminal)
    var editing = terminal
    withUnsafeMutableBytes(of: &editing.c_cc) { $0[Int(VINTR)] = 0 }  // _POSIX_VDISABLE
    tcsetattr(STDIN_FILENO, TCSADRAIN, &editing)
    defer { tcsetattr(STDIN_FILENO, TCSADRAIN, &terminal) }
    return body()
  }
}
