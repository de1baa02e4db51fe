import ArgumentParser
import DFSCommandLine
import DFSConfiguration
import DFSCore

/// A command of dfc: the words after dfc.conf, or a line of the prompt.
protocol SessionCommand: ParsableCommand, Sendable {
  func run(in session: Session) async throws
  /// Whether a line with these words may be kept in the history: it holds no password.
  static func mayBeKept(_ words: [String]) -> Bool
  /// What its words name, for the TAB key; the first place that has something is taken.
  static var operands: [Operand] { get }
}

/// What a word of a command may name.
enum Operand { case remote, local, command }

extension SessionCommand {
  static func mayBeKept(_ words: [String]) -> Bool { true }
  static var operands: [Operand] { [] }
}

enum Commands {
  /// In the order in which help shows them.
  static let all: [any SessionCommand.Type] = [
    Put.self, Get.self, List.self, Where.self, Status.self, Verify.self, Heal.self, Scrub.self,
    Settle.self, Recover.self,
    MakeDirectory.self, Remove.self, Move.self, Exit.self, Help.self,
  ]

  /// The names that help shows.
  static let words = all.compactMap { $0.configuration.commandName }
  static let names = words.joined(separator: ", ")

  static func isName(_ word: String) -> Bool { find(word) != nil }

  static func find(_ word: String) -> (any SessionCommand.Type)? {
    let word = word.lowercased()
    return all.first {
      $0.configuration.commandName == word || $0.configuration.aliases.contains(word)
    }
  }

  static func named(_ word: String) throws -> any SessionCommand.Type {
    if let command = find(word) { return command }
    throw DFSError(
      .configuration, "there is no command '\(word.printable)'; the commands are \(names)")
  }

  /// Runs the command that `words` are; the first names it.
  static func run(_ words: [String], in session: Session) async throws {
    try await parse(words, on: session.console)?.run(in: session)
  }

  /// - Returns: nil if there are no words.
  /// - Throws: `Reported` for help that was asked for, and for words that are not right.
  static func parse(
    _ words: [String], on console: Console
  ) async throws -> (any SessionCommand)? {
    guard let word = words.first else { return nil }
    let type = try named(word)
    do {
      var command = try type.parseAsRoot(Array(words.dropFirst()))
      if let command = command as? any SessionCommand { return command }
      // Help that was asked for throws it.
      try command.run()
      return nil
    } catch {
      throw await show(error, of: type, on: console)
    }
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
