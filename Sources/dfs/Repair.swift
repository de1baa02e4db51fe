internal import ArgumentParser
internal import DFSCommandLine
internal import DFSCore
internal import DFSStore
import DFSSystem
internal import Foundation
internal import Glibc

/// `dfs repair DIR`: are the databases in a server's directory good; moving damaged ones away.
struct Repair: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "repair",
    abstract: "Check the databases of a server that is stopped; quarantine damaged ones.",
    discussion: """
      Reads every user's database whole and says for each whether it is good or what is wrong. \
      Nothing is changed unless --quarantine is given: then a damaged database, its log and what \
      belongs to them move to DIR/USER/damaged. The server, started again, has no rows for that user \
      until a mount or `dfc heal` has brought it the rows of the others; copies of parts stay and are used \
      again. Do so on one server at a time, and wait until `dfc status` says that all is complete.

      It also names the rows that were kept when a state transfer removed many. --restore makes them the \
      user's rows again (what they replace is kept in turn); do so on at least three servers, while the \
      server that was wrong stays stopped or is emptied. --lower-rounds takes back a promise to a client \
      that no client can be, after which nobody could write: stop all clients, and do so on every server \
      that says so.

      EXIT STATUS: 0 every database is good; 1 one is damaged (and was quarantined, if asked), or it \
      could not be done: the message says why; 64 usage error.
      """)

  @Argument(help: "The server's directory.", completion: .directory)
  var directory: String

  @Option(help: "Only this user's database.")
  var user: String?

  @Flag(help: "Move damaged databases to DIR/USER/damaged.")
  var quarantine = false

  /// What the option was called in releases before 1.2.
  @Flag(help: .hidden)
  var setAside = false

  private var quarantines: Bool { quarantine || setAside }

  @Option(help: "A file of kept rows to make those of --user again.", completion: .file())
  var restore: String?

  @Flag(help: "Lower the rounds of views that no client can have got to.")
  var lowerRounds = false

  @Flag(help: "Print a JSON object for each user.")
  var json = false

  func validate() throws {
    guard restore == nil || user != nil else {
      throw ValidationError("--restore needs --user: whose rows they are")
    }
  }

  func run() async throws {
    let isDamaged = try await reporting { () async throws -> Bool in
      let repair = try DFSStore.Repair(directory: ByteText.plainPath(directory))
      let users = try user.map { [try UserName($0)] } ?? repair.users()
      var isDamaged = false
      for user in users {
        let finding = try repair.check(user, quarantines: quarantines, progress: progress(user))
        StandardError.eraseLine()
        let more = try await amend(finding, repair)
        print(json ? try Self.json(finding, more) : text(finding) + more.text)
        if case .damaged = finding.verdict { isDamaged = true }
      }
      if users.isEmpty, !json { print("no user has anything in \(directory.printable)") }
      return isDamaged
    }
    if isDamaged { throw ExitStatus.failed.exitCode }
  }

  /// What is said of a good database besides.
  private struct More {
    var kept: [String] = []
    var hasAbsurdRound = false
    var restoredChange: UInt64?
    var isLowered = false
    /// Whether something was asked that is done to good databases only.
    var isLeft = false

    var text: String {
      var text = ""
      if isLeft {
        text +=
          "\n  nothing was restored or lowered: that is done to a good database only; see to this one first"
      }
      if let restoredChange { text += "\n  restored, up to change \(restoredChange)" }
      if hasAbsurdRound {
        text +=
          isLowered
          ? "\n  the round of its view was lowered"
          : "\n  it has promised a view of a round that no client can have got to: nobody may be able to write; "
            + "stop all clients, then --lower-rounds"
      }
      for file in kept { text += "\n  kept rows: \(file.printable)" }
      return text
    }
  }

  /// Does what was asked for a good database.
  private func amend(_ finding: DFSStore.Repair.Finding, _ repair: DFSStore.Repair) async throws
    -> More
  {
    var more = More()
    more.kept = try repair.kept(finding.user)
    if case .damaged = finding.verdict {
      more.isLeft = restore != nil || lowerRounds
      return more
    }
    if let restore {
      more.restoredChange = try await repair.restore(
        finding.user, from: ByteText.plainPath(restore))
    }
    more.hasAbsurdRound = try repair.rounds(finding.user)?.areAbsurd ?? false
    if more.hasAbsurdRound, lowerRounds {
      try await repair.lowerRounds(finding.user)
      more.isLowered = true
    }
    return more
  }

  /// A line on a terminal, from the second second on.
  private func progress(_ user: UserName) -> (UInt64) -> Void {
    guard isatty(STDERR_FILENO) == 1 else { return { _ in } }
    let begin = ContinuousClock.now
    return { rows in
      guard begin.duration(to: .now) > .seconds(1) else { return }
      StandardError.write("\r\(user): \(rows) rows read\u{1b}[K")
    }
  }

  private func text(_ finding: DFSStore.Repair.Finding) -> String {
    switch finding.verdict {
    case .good(let rows): return "\(finding.user): good, \(rows) rows"
    case .absent: return "\(finding.user): no database yet"
    case .damaged(let error):
      guard quarantines else { return "\(finding.user): damaged: \(error)" }
      return "\(finding.user): damaged: \(error)\n"
        + finding.quarantined.map { "  moved to \($0.printable)\n" }.joined()
        + "  start the server: any mount, or dfc heal, brings it the rows of the other servers"
    }
  }

  private struct Record: Encodable {
    let user: String
    let state: String
    var rows: UInt64?
    var problem: String?
    let setAside: [String]
    var keptRows: [String] = []
    var hasAbsurdRound = false
    var isLowered = false
    var restoredChange: UInt64?
  }

  private static func json(_ finding: DFSStore.Repair.Finding, _ more: More) throws -> String {
    let user = finding.user.text
    var record =
      switch finding.verdict {
      case .good(let rows): Record(user: user, state: "good", rows: rows, setAside: [])
      case .absent: Record(user: user, state: "absent", setAside: [])
      case .damaged(let error):
        Record(
          user: user, state: "damaged", problem: error.description, setAside: finding.quarantined)
      }
    record.keptRows = more.kept
    record.hasAbsurdRound = more.hasAbsurdRound
    record.isLowered = more.isLowered
    record.restoredChange = more.restoredChange
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    return String(decoding: try encoder.encode(record), as: UTF8.self)
  }
}
