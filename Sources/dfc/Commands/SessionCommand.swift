import ArgumentParser
import DFSCore

/// A command of dfc: the words after dfc.conf, or a line of the prompt.
protocol SessionCommand: ParsableCommand, Sendable {
  func run(in session: Session) async throws
  /// Whether a line with these words may be kept in the history: it holds no password.
  static func mayBeKept(_ words: [String]) -> Bool
}

extension SessionCommand {
  static func mayBeKept(_ words: [String]) -> Bool { true }
}

enum Commands {
  /// In the order in which help shows them.
  static let all: [any SessionCommand.Type] = [
    Put.self, Get.self, List.self, Where.self, Status.self, Verify.self, Heal.self, Scrub.self,
    Recover.self,
    MakeDirectory.self, Remove.self, Move.self, Exit.self, Help.self,
  ]

  static func named(_ word: String) throws -> any SessionCommand.Type {
    let names = ["quit": "exit", "ls": "list"]
    let name = names[word.lowercased()] ?? word.lowercased()
    if let command = all.first(where: { $0.configuration.commandName == name }) { return command }
    let known = all.compactMap { $0.configuration.commandName }.joined(separator: ", ")
    throw DFSError(
      .configuration, "there is no command '\(word.printable)'; the commands are \(known)")
  }

  /// Runs the command that `words` are; the first names it.
  static func run(_ words: [String], in session: Session) async throws {
    guard let word = words.first else { return }
    let type = try named(word)
    let command: any ParsableCommand
    do {
      command = try type.parseAsRoot(Array(words.dropFirst()))
    } catch {
      throw await show(error, of: type, on: session.console)
    }
    guard let command = command as? any SessionCommand else { return }
    try await command.run(in: session)
  }

  /// Shows the help that was asked for, or what is wrong with the words.
  private static func show(
    _ error: any Error, of type: any SessionCommand.Type, on console: Console
  ) async -> Reported {
    let isHelp = type.exitCode(for: error) == .success
    if isHelp {
      try? await console.line(type.fullMessage(for: error))
    } else {
      console.problem(type.fullMessage(for: error).printableLines)
    }
    return Reported(status: isHelp ? .success : .usage)
  }

  /// The commands and what they do, a line each.
  static let overview: String = {
    let lines = all.map { type in
      let name =
        (type.configuration.usage ?? "").split(separator: "\n").first.map(String.init) ?? ""
      return "  \(name.rightPadded(to: 34))\(type.configuration.abstract)"
    }
    return "COMMANDS (in any case of letters; 'help COMMAND' says more)\n"
      + lines.joined(separator: "\n")
  }()
}

/// What put, get, list, where and verify can be asked about their results.
struct ResultOptions: ParsableArguments, Sendable {
  @Flag(name: .long, help: "Print results as JSON, an object a line.")
  var json = false

  @Flag(name: [.short, .long], help: "No progress bar, no notes.")
  var quiet = false

  func isJSON(_ session: Session) -> Bool { json || session.isJSON }
  func isQuiet(_ session: Session) -> Bool { quiet || session.isQuiet }

  func meter(_ session: Session, isSingle: Bool, verb: String) -> Meter {
    Meter(session.console, isShown: !isQuiet(session), isSingle: isSingle, verb: verb)
  }
}
