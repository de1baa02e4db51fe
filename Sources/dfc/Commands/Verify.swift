import ArgumentParser
import DFSClient
import DFSCommandLine
import DFSCore

/// Reads copies back from all servers and says what is wrong with them.
struct Verify: SessionCommand {
  static let configuration = CommandConfiguration(
    commandName: "verify", abstract: "Read the copies back and check them.",
    usage: "verify [PATH…] [--all] [OPTIONS]",
    discussion: """
      Reads what is under each PATH (by default everything of the user) back from the servers: every \
      block is compared with its checksum, every part with the digest in its file's row, every file \
      with its MD5 (of one that is not settled the base and each layer, and whether it can be told where \
      the layers' bytes belong). Of each part one copy is read, and of the other its beginning, which shows that it \
      is there; with --all every byte of every copy is read. A line is printed for each copy that is \
      not good, and a summary.

      The exit status is 0 if all is good, 1 if every file is readable but a copy is missing or \
      damaged, 4 if a file has a part without a good copy, 5 if too few servers are up.
      """)

  static let operands: [Operand] = [.remote]

  @Flag(help: "Read every copy of each part, not only one.")
  var all = false

  @OptionGroup var results: ResultOptions

  @Argument(help: ArgumentHelp("Files and directories of the servers.", valueName: "path"))
  var paths: [String] = []

  func run(in session: Session) async throws {
    let paths = try (paths.isEmpty ? ["/"] : paths).map { text throws(DFSError) in
      try RemotePath(text)
    }
    let service = try await session.patientService()
    let meter = results.meter(session, isSingle: false, verb: "verifying")
    defer { meter.end() }
    let verification = Verification(
      session: session, service: service, everyCopy: all, isJSON: results.isJSON(session),
      meter: meter)
    let tally = try await verification.run(paths)
    meter.end()
    try await verification.tell(tally)
    if tally.status != .success { throw Reported(status: tally.status) }
  }
}
