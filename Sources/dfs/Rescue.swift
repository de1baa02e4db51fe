internal import ArgumentParser
internal import DFSCommandLine
internal import DFSCore
import DFSRescue
internal import DFSStore
import DFSSystem
internal import Glibc
internal import UnixSignals

/// `dfs rescue DIR … --to OUT`: a user's files from servers' directories, with no server running.
struct RescueCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "rescue",
    abstract: "Rebuild a user's files from the directories of servers, with no server running.",
    usage: "dfs rescue DIR … --to OUT [--user NAME] [--partial] [--privileged] [--json] [--quiet]",
    discussion: """
      Any three of the four directories hold everything, and so do two opposite ones (DFS1 and DFS3, \
      DFS2 and DFS4); from fewer it rebuilds what it can. Copies of directories will do, also of \
      servers that were killed; they are only read. Names that could not be rebuilt are printed, \
      one a line, and in the end what was. Databases are read through copies in $TMPDIR.

      Owners are set if it runs as root. Set-user-ID and set-group-ID bits of files, devices, and attributes \
      that give privileges (security.*, trusted.*) are left out even then, unless --privileged says that \
      whoever wrote the tree, and the servers, are trusted with this machine. That owners or extended attributes cannot be set does not \
      change the exit status.

      EXIT STATUS: 0 everything was rebuilt; 1 failed (the message says why: OUT is not empty, \
      the disk is full, a server is running, …); 4 something is incomplete; 64 usage error; \
      130 interrupted.
      """)

  @Argument(help: "Directories of servers, or copies of them.", completion: .directory)
  var directories: [String]

  @Option(help: "Whose files. (default: the user, if the directories have only one)")
  var user: String?

  @Option(help: "An empty or new directory for the files.", completion: .directory)
  var to: String

  @Flag(help: "Keep files of which parts are missing, with zeros there.")
  var partial = false

  @Flag(help: "As root: set-user-ID bits, devices and privileges of the tree, too.")
  var privileged = false

  @Flag(help: "One JSON object a line: each path that could not be rebuilt, then a summary.")
  var json = false

  @Flag(help: "Neither notes nor progress nor a summary.")
  var quiet = false

  func validate() throws {
    guard !privileged || geteuid() == 0 else { throw ValidationError("--privileged takes root") }
  }

  func run() async throws {
    signal(SIGPIPE, SIG_IGN)
    OutputDirectory.raiseDescriptorLimit()
    try await reporting {
      let rescue = try await offload { [directories] in
        try Rescue(
          directories: directories.map { path throws(DFSError) in try ByteText.plainPath(path) })
      }
      let request = Rescue.Request(
        user: try owner(among: rescue.users), output: try plainOutput(), keepsPartial: partial,
        privileged: privileged)
      let output = RescueOutput(isJSON: json, isQuiet: quiet)
      let summary = try await watching(rescue, output) {
        try await offload { try rescue.run(request) { output.tell($0) } }
      }
      output.finish(summary, request, place: to)
      if !summary.isComplete { throw ExitStatus.incomplete.exitCode }
    }
  }

  /// A place whose name is not UTF-8 must be there to be opened.
  private func plainOutput() throws(DFSError) -> String {
    let isPlain = ByteText.unicode(to) != nil
    if !isPlain { mkdir(to.systemPath, 0o700) }
    return try ByteText.plainPath(to)
  }

  private func owner(among users: [UserName]) throws -> UserName {
    if let user { return try UserName(user) }
    let list = users.map(\.text).joined(separator: ", ")
    guard let only = users.first else {
      throw DFSError(
        .notFound, "no user has anything in these directories; are they servers' directories?")
    }
    guard users.count == 1 else {
      throw DFSError(.configuration, "name one of the users with --user: \(list)")
    }
    return only
  }

  /// Shows how far it is, and ends it in order at a signal.
  private func watching(
    _ rescue: Rescue, _ output: RescueOutput, _ body: () async throws -> RescueSummary
  ) async throws -> RescueSummary {
    let signals = await UnixSignalsSequence(trapping: .sigint, .sigterm, .sighup)
    let interruption = Task { for await _ in signals { rescue.progress.interrupt() } }
    output.show(rescue.progress)
    defer {
      output.hideProgress()
      interruption.cancel()
    }
    do {
      return try await body()
    } catch let error as DFSError where error.code == .cancelled {
      output.hideProgress()
      StandardError.write("dfs: \(error)\n")
      throw ExitStatus.interrupted.exitCode
    }
  }
}
