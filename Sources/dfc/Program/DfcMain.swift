import DFSCommandLine
import DFSCore
import DFSSystem

/// Where dfc begins.
@main enum Main {
  static func main() async {
    await Interrupts.shared.begin()
    if asksForItself { await Program.run(Dfc.self) }
    await Program.run(Runner.self)
  }

  /// Whether an option of ArgumentParser comes before any command; among the words of a command it is
  /// the command's.
  private static var asksForItself: Bool {
    let options = ByteText.commandLine.prefix { $0.hasPrefix("-") && $0 != "-" }
    return options.contains { option in
      ["-h", "--help", "--version"].contains(option)
        || ["--generate-completion-script", "--experimental-dump-help", "---completion"].contains {
          option.hasPrefix($0)
        }
    }
  }
}
