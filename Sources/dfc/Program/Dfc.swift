import ArgumentParser
import DFSClient
import DFSCore
import Glibc
import Logging

/// `dfc CONF [COMMAND …]`: one command, or a prompt.
struct Dfc: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "dfc", abstract: "Keep files on four servers.",
    usage: """
      dfc CONF [OPTIONS] COMMAND [WORD…]
      dfc CONF [OPTIONS]
      """,
    discussion: """
      Runs one command. Without one it shows a prompt, or, if standard input is no terminal, reads \
      commands from it, one a line. CONF names the servers and the account (conf/dfc.conf documents \
      it). Paths on the servers are relative to the user's root.

      \(Commands.overview)

      \(ExitStatus.explanation)
      """,
    version: "dfc \(Release.version)")

  @OptionGroup var options: GlobalOptions

  @Argument(help: ArgumentHelp("The configuration, such as dfc.conf.", valueName: "conf"))
  var path: String

  @Argument(
    parsing: .captureForPassthrough,
    help: ArgumentHelp("A command and its words.", valueName: "command"))
  var words: [String] = []

  /// Bytes of contents kept in memory: dfc reads everything once, with several reads under way.
  private static let readCacheBytes = 8 << 20

  func run() async throws {
    let console = Console()
    do {
      let (options, words) = try allOptions()
      var configuration = try ClientConfiguration.read(path: path)
      configuration.readCacheBytes = min(configuration.readCacheBytes, Self.readCacheBytes)
      if let timeout = options.timeout { configuration.callTimeoutSeconds = timeout }
      let session = Session(
        configuration, options, console: console, inputIsCommands: words.isEmpty,
        logger: Self.logger(options.logLevel.level))
      let status = await Self.perform(words, in: session)
      await session.close()
      throw ExitCode(status.rawValue)
    } catch let error as DFSError {
      for line in error.description.split(separator: "\n") { console.problem("dfc: \(line)") }
      throw ExitCode(ExitStatus(of: error).rawValue)
    }
  }

  private static func perform(_ words: [String], in session: Session) async -> ExitStatus {
    guard words.isEmpty else { return await once(words, in: session) }
    if isatty(STDIN_FILENO) == 1 { return await Prompt(session: session).run() }
    return await Script(session: session).run()
  }

  private static func once(_ words: [String], in session: Session) async -> ExitStatus {
    do {
      try await Commands.run(words, in: session)
      return .success
    } catch is Exit.Left {
      return .success
    } catch {
      return session.report(error)
    }
  }

  /// Options may stand before and after CONF; those after it came with the words.
  private func allOptions() throws -> (GlobalOptions, [String]) {
    guard let first = words.first, first.hasPrefix("-"), first != "-" else {
      return (options, words)
    }
    let all = ByteText.commandLine
    let before = all.dropLast(words.count + 1)
    let rest = try Rest.parse(before + words)
    return (rest.options, rest.words)
  }

  private struct Rest: ParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "dfc", usage: Dfc.configuration.usage)
    @OptionGroup var options: GlobalOptions
    @Argument(parsing: .captureForPassthrough) var words: [String] = []
  }

  private static func logger(_ level: Logger.Level) -> Logger {
    LoggingSystem.bootstrap { _ in LogOutput() }
    var logger = Logger(label: "dfc")
    logger.logLevel = level
    return logger
  }
}
