import ArgumentParser
import DFSCore
import Foundation

/// Where dfc begins.
@main enum Main {
  static func main() async {
    Interrupts.shared.begin()
    do {
      var command = try Dfc.parseAsRoot(ByteText.commandLine)
      if var command = command as? any AsyncParsableCommand {
        try await command.run()
      } else {
        try command.run()
      }
    } catch {
      let (code, text) = (Dfc.exitCode(for: error), Dfc.fullMessage(for: error))
      let console = Console()
      if code != .success, !text.isEmpty {
        console.problem(text.printableLines)
      } else if !text.isEmpty {
        try? await console.line(text)
      }
      exit(code.rawValue)
    }
  }
}
