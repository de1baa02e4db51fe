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
        let holders = try await Holders(of: inode.version?.content, on: service)
        try await session.console.write(
          isJSON ? json(path, inode, holders).line() : Array(text(path, inode, holders).utf8))
      }
    }
    try outcome.finish()
  }

  private func text(_ path: RemotePath, _ inode: Inode, _ holders: Holders?) -> String {
    guard let version = inode.version?.content, let holders else {
      return "\(path): empty, no parts yet\n"
    }
    var text = "\(path): \(version.size) bytes, MD5 \(version.md5), x = \(version.md5.modulo4)\n"
    let servers = ServerIndex.all.map { $0.description.rightPadded(to: 6) }.joined()
    text += "  part  \("bytes".leftPadded(to: 14))    " + servers.trimmedRight + "\n"
    for part in PartIndex.all {
      let bytes = "\(version.split.length(of: part))".leftPadded(to: 14)
      let states = ServerIndex.all.map {
        (holders.state(of: part, on: $0)?.rawValue ?? "-").rightPadded(to: 6)
      }
      text += "  \(part)     \(bytes)    " + states.joined().trimmedRight + "\n"
    }
    return text
  }

  private func json(_ path: RemotePath, _ inode: Inode, _ holders: Holders?) -> JSONObject {
    var object = JSONObject()
    object.set("name", path.bytes)
    object["size"] = inode.size
    object["md5"] = inode.version?.md5?.description
    object["x"] = inode.version?.md5?.modulo4
    object["parts"] = inode.version?.content.map { version in
      PartIndex.all.map { part in
        var object = JSONObject()
        object["part"] = part.number
        object["bytes"] = version.split.length(of: part)
        for state in Holders.State.allCases {
          object[state.rawValue] = ServerIndex.all
            .filter { holders?.state(of: part, on: $0) == state }.map(\.description)
        }
        return object
      }
    }
    return object
  }
}

/// Where the copies of a version should be, and where they are.
struct Holders {
  enum State: String, CaseIterable { case yes, lost, down }

  private let planned: Placement
  private let found: Placement?
  private let up: ServerSet

  init?(of version: Content?, on service: any ClusterStatus) async throws {
    guard let version else { return nil }
    planned = version.placement
    found = try await service.copies([version.id])[version.id]
    up = ServerSet(await service.serverStates().filter(\.isUp).map(\.server))
  }

  func state(of part: PartIndex, on server: ServerIndex) -> State? {
    if found?.holders(of: part).contains(server) == true { return .yes }
    guard planned.holders(of: part).contains(server) else { return nil }
    return up.contains(server) ? .lost : .down
  }
}

extension String {
  var trimmedRight: String {
    var text = self
    while text.last == " " { text.removeLast() }
    return text
  }
}
