import ArgumentParser
import DFSClient
import DFSCommandLine
import DFSConfiguration
import DFSCore
import Glibc
import Logging

/// What dfc says of itself: help, the manual and completion scripts. What runs is `Runner`, since CONF
/// stands before the command.
struct Dfc: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "dfc", abstract: "Keep files on four servers.",
    usage: """
      dfc [CONF] [OPTIONS] COMMAND [WORD…]
      dfc [CONF] [OPTIONS]
      """,
    discussion: """
      Runs one command. Without one it shows a prompt, or, if standard input is no terminal, reads \
      commands from it, one a line. Commands are read in any case of letters. Paths on the servers are \
      relative to the user's root.

      CONF names the servers and the account (conf/dfc.conf documents it). Without one it is the file \
      that DFS_CONF names, else ~/.config/dfs/dfc.conf, else /etc/dfs/dfc.conf. A file that is called like \
      a command is named with its directory: ./list.

      \(ExitStatus.explanation)
      """,
    version: "dfc \(Release.version)", subcommands: Commands.all)

  @OptionGroup var options: GlobalOptions
}

/// `dfc [CONF] [COMMAND …]`: one command, or a prompt.
struct Runner: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "dfc", usage: Dfc.configuration.usage)

  @OptionGroup var options: GlobalOptions

  @Argument(
    parsing: .captureForPassthrough,
    help: ArgumentHelp("The configuration, then a command and its words.", visibility: .hidden))
  var words: [String] = []

  /// Bytes of contents kept in memory: dfc reads everything once, with several reads under way.
  private static let readCacheBytes = 8 << 20

  func run() async throws {
    let console = Console()
    do {
      let invocation = try Invocation(words, options)
      let command = try await Commands.parse(invocation.command, on: console)
      if let help = command as? Help { return try await help.show(on: console) }
      let session = try Self.session(invocation, console)
      let status = await Self.perform(command, in: session)
      await session.close()
      throw status.exitCode
    } catch let error as Reported {
      throw error.status.exitCode
    } catch let error as DFSError {
      for line in error.description.split(separator: "\n") { console.problem("dfc: \(line)") }
      throw ExitStatus(of: error).exitCode
    }
  }

  private static func session(_ invocation: Invocation, _ console: Console) throws -> Session {
    let options = invocation.options
    var configuration = try invocation.configuration()
    configuration.readCacheBytes = min(configuration.readCacheBytes, readCacheBytes)
    if let timeout = options.timeout { configuration.callTimeoutSeconds = timeout }
    return Session(
      configuration, options, console: console, inputIsCommands: invocation.command.isEmpty,
      logger: LogOutput(level: options.logLevel).logger(label: "dfc"))
  }

  private static func perform(
    _ command: (any SessionCommand)?, in session: Session
  ) async -> ExitStatus {
    if let command { return await once(command, in: session) }
    if isatty(STDIN_FILENO) == 1 { return await Prompt(session: session).run() }
    return await Script(session: session).run()
  }

  private static func once(
    _ command: any SessionCommand, in session: Session
  ) async -> ExitStatus {
    do {
      try await command.run(in: session)
      return .success
    } catch is Exit.Left {
      return .success
    } catch {
      return session.report(error)
    }
  }
}
