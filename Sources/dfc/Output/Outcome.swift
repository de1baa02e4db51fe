import DFSCommandLine
import DFSCore
import Synchronization

/// What became of the files of one command: one that fails does not stop the others, but its status
/// is the command's.
final class Outcome: Sendable {
  private let session: Session
  private let command: String
  private let isJSON: Bool
  private let first = Mutex<ExitStatus?>(nil)

  init(of command: String, in session: Session, isJSON: Bool) {
    self.command = command
    self.session = session
    self.isJSON = isJSON
  }

  /// Does `work` about one file; an error is shown and noted.
  /// - Parameter name: a word, or the text of a path (`ByteText`).
  /// - Throws: what makes going on pointless: no login, too few servers, an interruption.
  func of(_ name: String, _ work: () async throws -> Void) async throws {
    do {
      try await work()
    } catch {
      let status = session.report(error, about: name.printable)
      first.withLock { $0 = $0 ?? status }
      if isJSON, !(error is Reported) {
        try await session.console.write(JSONObject.failure(command, name, error).line())
      }
      if [.login, .serversMissing, .interrupted].contains(status) {
        throw Reported(status: status)
      }
    }
  }

  /// - Throws: `Reported` if something failed.
  func finish() throws {
    if let status = first.withLock({ $0 }) { throw Reported(status: status) }
  }
}
