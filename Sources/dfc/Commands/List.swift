import ArgumentParser
import DFSClient
import DFSCommandLine
import DFSCore
import DFSSystem

/// Names what is in a directory.
struct List: SessionCommand {
  static let configuration = CommandConfiguration(
    commandName: "list", abstract: "Name what is in a directory.",
    usage: "list [DIR/] [OPTIONS]",
    discussion: """
      A file whose parts cannot all be found on the servers that are up is marked ' [incomplete]'. \
      Names of directories end with a slash.
      """, aliases: ["ls"])

  static let operands: [Operand] = [.remote]

  @Flag(name: .short, help: "Kind and permissions, bytes and time of change of each.")
  var long = false

  @Flag(name: .customLong("md5"), help: "The MD5 of each file; - as long as it is not settled.")
  var showsMD5 = false

  @OptionGroup var results: ResultOptions

  @Argument(help: ArgumentHelp("A directory or a file; by default the root.", valueName: "dir"))
  var path = "/"

  func run(in session: Session) async throws {
    let path = try RemotePath(path)
    let service = try await session.service()
    let inode = try await path.resolve(on: service, following: path.isDirectory || !long)
    let items =
      inode.kind == .directory
      ? try await service.list(inode.id, .current)
      : [DirectoryItem(name: try path.split().name, inode: inode)]
    let missing = try await Completeness.missingParts(
      of: items.compactMap(\.inode.version), on: service)
    if results.isJSON(session) {
      for item in items { try await session.console.write(json(item, missing).line()) }
    } else {
      try await session.console.write(lines(items, missing, session.console))
    }
  }

  private func lines(
    _ items: [DirectoryItem], _ missing: [VersionID: [PartIndex]], _ console: Console
  ) -> [UInt8] {
    let width = items.map { "\($0.inode.size)".count }.max() ?? 0
    var bytes: [UInt8] = []
    for item in items {
      bytes += Array((long ? details(item.inode, width) : "").utf8)
      if showsMD5 {
        let none = String(repeating: "-", count: 32)
        bytes += Array(((item.inode.version?.md5?.description ?? none) + "  ").utf8)
      }
      bytes += console.shown(item.name)
      bytes += Array(suffix(item.inode, missing).utf8)
      bytes.append(UInt8(ascii: "\n"))
    }
    return bytes
  }

  private func details(_ inode: Inode, _ width: Int) -> String {
    let size = inode.kind == .directory ? "-" : "\(inode.size)"
    return "\(inode.modeText)  \(size.leftPadded(to: width))  \(inode.modified.local)  "
  }

  private func suffix(_ inode: Inode, _ missing: [VersionID: [PartIndex]]) -> String {
    if inode.kind == .directory { return "/" }
    if inode.kind == .symlink, long {
      return " -> " + ByteText.text(of: inode.target).printable
    }
    return inode.version.flatMap { missing[$0.id] } == nil ? "" : " [incomplete]"
  }

  private func json(_ item: DirectoryItem, _ missing: [VersionID: [PartIndex]]) -> JSONObject {
    let inode = item.inode
    var object = JSONObject()
    object.set("name", item.name.bytes)
    object["kind"] = inode.kindText
    object["mode"] = String(inode.mode, radix: 8)
    object["modified"] = inode.modified.universal
    if inode.kind != .directory { object["size"] = inode.size }
    if inode.kind == .symlink { object.set("target", inode.target) }
    if let md5 = inode.version?.md5 { object["md5"] = md5.description }
    if inode.kind == .regular {
      let parts = inode.version.flatMap { missing[$0.id] } ?? []
      object["settled"] = inode.version?.isSettled ?? true
      object["incomplete"] = !parts.isEmpty
      if !parts.isEmpty { object["missingParts"] = parts.map(\.number) }
    }
    return object
  }
}
