internal import ArgumentParser
internal import DFSCore
internal import Glibc

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

/// The exit statuses of this program.
enum ExitStatus {
  static let failed = ExitCode(1)
  /// Of `dfs rescue`: not everything could be rebuilt.
  static let incomplete = ExitCode(4)
  static let interrupted = ExitCode(130)
  static let help = """
    EXIT STATUS: 0 stopped as asked, or done; 1 failed (the message says why: the port is in use, \
    the directory is locked or belongs to another server, …); 64 usage error.
    """
}

/// Where dfs begins: words of the command line keep bytes that are not UTF-8 (`ByteText`).
@main enum Main {
  static func main() async {
    do {
      var command = try Dfs.parseAsRoot(ByteText.commandLine)
      if var command = command as? any AsyncParsableCommand {
        try await command.run()
      } else {
        try command.run()
      }
    } catch {
      let (code, text) = (Dfs.exitCode(for: error), Dfs.fullMessage(for: error))
      if code == .success, !text.isEmpty {
        print(text)
      } else if !text.isEmpty {
        StandardError.write(text.printableLines + "\n")
      }
      exit(code.rawValue)
    }
  }
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
      throw ExitStatus.failed
    }
  }
}

enum StandardError {
  static func write(_ text: String) {
    let bytes = Array(text.utf8)
    _ = bytes.withUnsafeBytes { Glibc.write(STDERR_FILENO, $0.baseAddress, $0.count) }
  }
}
