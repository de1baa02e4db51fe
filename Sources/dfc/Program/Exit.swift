import ArgumentParser

/// Leaves the prompt.
struct Exit: SessionCommand {
  static let configuration = CommandConfiguration(
    commandName: "exit", abstract: "Leave the prompt.", usage: "exit", aliases: ["quit"])

  /// What `exit` throws to whoever reads commands.
  struct Left: Error {}

  func run(in session: Session) async throws { throw Left() }
}
