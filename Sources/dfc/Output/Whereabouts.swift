import DFSClient
import DFSCommandLine
import DFSCore

/// Where the copies of all that a file is made of should be, and where they are: what `where` shows.
struct Whereabouts {
  /// Where one copy is.
  private enum State: String, CaseIterable { case yes, lost, down }

  private let inode: Inode
  private let found: [VersionID: Placement]
  private let up: ServerSet

  init(of inode: Inode, on service: any ClusterStatus) async throws {
    self.inode = inode
    let contents = inode.version?.contents ?? []
    found = contents.isEmpty ? [:] : try await service.copies(contents.map(\.id))
    up = ServerSet(await service.serverStates().filter(\.isUp).map(\.server))
  }

  /// nil where the copy should not be, and is not.
  private func state(of part: PartIndex, _ content: Content, on server: ServerIndex) -> State? {
    if found[content.id]?.holders(of: part).contains(server) == true { return .yes }
    guard content.placement.holders(of: part).contains(server) else { return nil }
    return up.contains(server) ? .lost : .down
  }

  // MARK: Text

  func text(_ path: RemotePath) -> String {
    guard let version = inode.version else { return "\(path): empty, no parts yet\n" }
    if let content = version.content {
      return "\(path): \(Self.heading(content))\n" + table(content)
    }
    var text =
      "\(path): \(version.size) bytes, MD5 \(version.md5?.description ?? "not known yet")\n"
    if !version.isSettled {
      let bytes = version.layers.reduce(0) { $0 + $1.content.size }
      let layers = version.layers.count == 1 ? "1 layer" : "\(version.layers.count) layers"
      text += "  not settled: \(layers), \(bytes) bytes\n"
    }
    if let base = version.base { text += "  base: \(Self.heading(base))\n" + table(base) }
    return text + table(version.layers)
  }

  private static func heading(_ content: Content) -> String {
    "\(content.size) bytes, MD5 \(content.md5), x = \(content.md5.modulo4)"
  }

  private func table(_ content: Content) -> String {
    var text = Self.header("part", column: 6)
    for part in PartIndex.all {
      let states = ServerIndex.all.map { state(of: part, content, on: $0)?.rawValue ?? "-" }
      text += Self.line("\(part)", content.split.length(of: part), states, column: 6)
    }
    return text
  }

  private static let layerColumn = 12

  private func table(_ layers: [Layer]) -> String {
    var text = Self.header("layer", column: Self.layerColumn)
    for (number, layer) in layers.enumerated() {
      let cells = ServerIndex.all.map { cell(layer.content, $0) }
      text += Self.line(
        "\(number + 1)", layer.content.size, cells, column: Self.layerColumn)
    }
    return text
  }

  /// `1,2`, or `1 lost 2`: the parts of a content on a server.
  private func cell(_ content: Content, _ server: ServerIndex) -> String {
    let texts = State.allCases.compactMap { wanted -> String? in
      let parts = parts(of: content, wanted, on: server).map(\.description)
      guard !parts.isEmpty else { return nil }
      return (wanted == .yes ? "" : "\(wanted.rawValue) ") + parts.joined(separator: ",")
    }
    return texts.isEmpty ? "-" : texts.joined(separator: " ")
  }

  private func parts(
    of content: Content, _ wanted: State, on server: ServerIndex
  ) -> [PartIndex] {
    PartIndex.all.filter {
      content.split.length(of: $0) > 0 && state(of: $0, content, on: server) == wanted
    }
  }

  private static func header(_ name: String, column: Int) -> String {
    let servers = ServerIndex.all.map { $0.description.rightPadded(to: column) }.joined()
    let name = name.rightPadded(to: 6)
    return "  \(name)\("bytes".leftPadded(to: 14))    " + servers.trimmedRight + "\n"
  }

  private static func line(
    _ name: String, _ bytes: UInt64, _ cells: [String], column: Int
  ) -> String {
    let cells = cells.map { $0.rightPadded(to: column) + ($0.count < column ? "" : " ") }.joined()
    let name = name.rightPadded(to: 6)
    return "  \(name)\("\(bytes)".leftPadded(to: 14))    " + cells.trimmedRight + "\n"
  }

  // MARK: JSON

  func json(_ path: RemotePath) -> JSONObject {
    let version = inode.version
    let whole = version?.content
    var object = JSONObject()
    object.set("name", path.bytes)
    object["size"] = inode.size
    object["md5"] = version?.md5?.description
    object["x"] = (whole ?? version?.base)?.md5.modulo4
    object["parts"] = (whole ?? version?.base).map(parts)
    object["settled"] = version?.isSettled ?? true
    object["layers"] = (version?.layers ?? []).enumerated().map { number, layer in
      var object = JSONObject()
      object["layer"] = number + 1
      object["bytes"] = layer.content.size
      object["md5"] = layer.content.md5.description
      object["x"] = layer.content.md5.modulo4
      object["parts"] = parts(of: layer.content)
      return object
    }
    return object
  }

  private func parts(of content: Content) -> [JSONObject] {
    PartIndex.all.map { part in
      var object = JSONObject()
      object["part"] = part.number
      object["bytes"] = content.split.length(of: part)
      for wanted in State.allCases {
        object[wanted.rawValue] = ServerIndex.all
          .filter { state(of: part, content, on: $0) == wanted }.map(\.description)
      }
      return object
    }
  }
}
