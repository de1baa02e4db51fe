internal import DFSCore

/// What a trace says of values.
extension View {
  var brief: String { "\(round)/\(client.value)" }
}

extension Head {
  var brief: String { "(\(view.brief), \(number), \(digest.low & 0xffff))" }
}

extension NamespaceRequest {
  var brief: String {
    switch self {
    case .prepare(let view): "prepare \(view.brief)"
    case .install(let view, let from, let changes, let to):
      "install \(view.brief) from \(from.brief) by \(changes.count) to \(to.brief)"
    case .apply(let view, let number, let change):
      "apply \(view.brief) \(number): \(change.id.sequence) of \(change.id.client.value)\(change.locks)"
    case .log(let after): "log after \(after)"
    case .head: "head"
    }
  }
}

extension Change {
  /// The rows of locks in it.
  fileprivate var locks: String {
    writes.compactMap { write in
      guard case .attribute(let id, AttributeName.locks) = write.key else { return nil }
      let text = write.value.map { String(decoding: $0.bytes, as: UTF8.self) } ?? "none"
      return ", locks on inode \(id): \(text)"
    }.joined()
  }
}

extension NamespaceReply {
  var brief: String {
    switch self {
    case .promised(let head): "promised, \(head.brief)"
    case .installed(let head): "installed, \(head.brief)"
    case .applied(let head): "applied, \(head.brief)"
    case .behind(let head): "behind, \(head.brief)"
    case .refused(let view): "refused for \(view.brief)"
    case .missingParts(let parts): "missing \(parts.count) parts"
    case .log(let base, let entries, let head):
      "log \(base == nil ? "too short" : "of \(entries.count)"), \(head.brief)"
    case .head(let head): "\(head.brief)"
    case .foreign(let head): "foreign, \(head.brief)"
    }
  }
}

extension RowKey {
  var brief: String {
    switch self {
    case .inode(let id): "inode \(id)"
    case .entry(let parent, let name): "\(parent)/\(name)"
    case .attribute(let id, let name): "\(name) \(id)"
    }
  }
}

extension Version {
  /// Its identity, and what it is made of.
  var brief: String {
    let base = base.map { "\($0.id.brief)" } ?? "nothing"
    let above = layers.map { "\($0.inode):\($0.content.id.brief)" }
    return "\(id.brief)" + (layers.isEmpty ? "" : " = \(([base] + above).joined(separator: " + "))")
  }
}
