import ArgumentParser
import DFSCore

/// Says what the commands are.
struct Help: SessionCommand {
  static let configuration = CommandConfiguration(
    commandName: "help", abstract: "Say what there is, or what COMMAND does.",
    usage: "help [COMMAND]")

  @Argument(help: "A command.")
  var command: String?

  func run(in session: Session) async throws {
    guard let command else {
      return try await session.console.line(Commands.overview + "\n\n" + ExitStatus.explanation)
    }
    try await session.console.line(Commands.named(command).helpMessage())
  }
}
