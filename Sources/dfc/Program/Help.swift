import ArgumentParser
import DFSCommandLine
import DFSCore

/// Says what the commands are.
struct Help: SessionCommand {
  static let configuration = CommandConfiguration(
    commandName: "help", abstract: "Say what there is, or what COMMAND does.",
    usage: "help [COMMAND]")

  static let operands: [Operand] = [.command]

  @Argument(help: "A command.")
  var command: String?

  func run(in session: Session) async throws { try await show(on: session.console) }

  func show(on console: Console) async throws {
    guard let command else {
      return try await console.line(Commands.overview + "\n\n" + ExitStatus.explanation)
    }
    try await console.line(Commands.named(command).helpMessage())
  }
}
