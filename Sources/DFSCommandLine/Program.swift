public import ArgumentParser
internal import DFSCore
internal import DFSSystem
internal import Glibc

/// Where a program begins and ends.
public enum Program {
  /// Parses the command line, runs what it says, and ends the process: help goes to standard output,
  /// what is wrong with the words to standard error. Words keep bytes that are not UTF-8 (`ByteText`).
  public static func run(_ root: (some ParsableCommand).Type) async -> Never {
    do {
      var command = try root.parseAsRoot(ByteText.commandLine)
      if var command = command as? any AsyncParsableCommand {
        try await command.run()
      } else {
        try command.run()
      }
    } catch {
      let (code, text) = (root.exitCode(for: error), root.fullMessage(for: error))
      if code == .success, !text.isEmpty {
        writeAll(text + "\n", to: STDOUT_FILENO)
      } else if !text.isEmpty {
        StandardError.write(text.printableLines + "\n")
      }
      exit(code.rawValue)
    }
    exit(ExitStatus.success.rawValue)
  }
}
