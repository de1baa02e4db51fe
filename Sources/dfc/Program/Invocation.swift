import ArgumentParser
import DFSConfiguration
import DFSCore
import DFSSystem

/// What the command line says: which configuration, options of dfc before or after it, and the command
/// with its words, if there is one.
struct Invocation {
  private let path: String?
  let options: GlobalOptions
  let command: [String]

  /// - Parameters:
  ///   - words: what follows the first options.
  ///   - options: those before the words.
  init(_ words: [String], _ options: GlobalOptions) throws {
    guard let first = words.first, !Commands.isName(first) else {
      (path, self.options, command) = (nil, options, words)
      return
    }
    if ["-h", "--help"].contains(first) { throw CleanExit.helpRequest(Dfc.self) }
    guard !first.hasPrefix("-") else { throw ValidationError("there is no option '\(first)'") }
    path = first
    guard words.count > 1, words[1].hasPrefix("-"), words[1] != "-" else {
      (self.options, command) = (options, Array(words.dropFirst()))
      return
    }
    let before = Array(ByteText.commandLine.dropLast(words.count))
    let rest = try Rest.parse(before + words.dropFirst())
    (self.options, command) = (rest.options, rest.words)
  }

  /// The options that stand around CONF, together.
  private struct Rest: ParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "dfc", usage: Dfc.configuration.usage)
    @OptionGroup var options: GlobalOptions
    @Argument(parsing: .captureForPassthrough) var words: [String] = []
  }

  /// - Throws: `configuration` if there is none, or it is not right.
  func configuration() throws(DFSError) -> ClientConfiguration {
    guard let path else {
      return try ClientConfiguration.read(path: ClientConfiguration.standardPath())
    }
    // One word that is no path is more likely a command that does not exist.
    let isPath = path.utf8.contains { "/.".utf8.contains($0) }
    if !isPath, try LocalPath(path).status() == nil {
      throw DFSError(
        .configuration,
        "there is no command '\(path.printable)', and no configuration of that name; the commands are "
          + Commands.names)
    }
    return try ClientConfiguration.read(path: path)
  }
}
