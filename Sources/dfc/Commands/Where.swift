import ArgumentParser
import DFSClient
import DFSCommandLine
import DFSCore

/// Shows where the parts of files are.
struct Where: SessionCommand {
  static let configuration = CommandConfiguration(
    commandName: "where", abstract: "Show which server has which part.",
    usage: "where FILE… [OPTIONS]",
    discussion: """
      For each part: 'yes' where its copy is, 'lost' where it should be and is not, 'down' where it \
      should be on a server that does not answer. x is the MD5 modulo 4, which places the parts.

      A file that was changed in place a short time ago is not settled: it is a base and layers, each with the \
      bytes of some changes. The table is the base's; of each layer the parts on each server are listed, a \
      layer that was written later below.
      """)

  static let operands: [Operand] = [.remote]

  @OptionGroup var results: ResultOptions

  @Argument(help: ArgumentHelp("Files of the servers.", valueName: "file"))
  var files: [String]

  func run(in session: Session) async throws {
    let service = try await session.service()
    let isJSON = results.isJSON(session)
    let outcome = Outcome(of: "where", in: session, isJSON: isJSON)
    for file in files {
      try await outcome.of(file) {
        let path = try RemotePath(file)
        let inode = try await path.resolve(on: service)
        guard inode.kind == .regular else {
          throw DFSError(.invalidArgument, "only regular files have parts")
        }
        let whereabouts = try await Whereabouts(of: inode, on: service)
        try await session.console.write(
          isJSON ? whereabouts.json(path).line() : Array(whereabouts.text(path).utf8))
      }
    }
    try outcome.finish()
  }
}

extension String {
  var trimmedRight: String {
    var text = self
    while text.last == " " { text.removeLast() }
    return text
  }
}
