internal import ArgumentParser
internal import DFSCommandLine
internal import DFSCore
import DFSRescue

/// The executable of the server: arguments in, exit status out.
struct Dfs: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "dfs",
    abstract: "Keeps files for users: one of four servers.",
    usage: """
      dfs DIR PORT [options]
      dfs user add|remove|passwd|set|list|convert …
      dfs repair DIR [--user NAME] [--quarantine] [--restore FILE] [--lower-rounds]
      dfs rescue DIR … --to OUT [--user NAME] [--privileged]
      """,
    discussion: """
      `dfs ./DFS1 10001` makes the directory if needed, calls itself DFS1 after it, and serves its \
      users until it gets SIGTERM or SIGINT: then it finishes what is under way and ends. Killed \
      at any moment it loses nothing that it acknowledged. `dfs help serve` shows the options.

      `dfs rescue` needs no server: it rebuilds a user's files from the directories of servers.

      \(ExitStatus.help)
      """,
    version: "dfs \(Release.version)",
    subcommands: [Serve.self, User.self, Repair.self, RescueCommand.self],
    defaultSubcommand: Serve.self)
}

extension ExitStatus {
  static let help = """
    EXIT STATUS: 0 stopped as asked, or done; 1 failed (the message says why: the port is in use, \
    the directory is locked or belongs to another server, …); 64 usage error.
    """
}

/// Where dfs begins.
@main enum Main {
  static func main() async { await Program.run(Dfs.self) }
}

extension ParsableCommand {
  /// Runs `body`; its error goes to standard error as `dfs: …`, and the status is 1.
  func reporting<Value>(_ body: () async throws -> Value) async throws -> Value {
    do {
      return try await body()
    } catch let error as ExitCode {
      throw error
    } catch {
      StandardError.write("dfs: \("\(error)".printableLines)\n")
      throw ExitStatus.failed.exitCode
    }
  }
}
