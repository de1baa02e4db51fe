internal import DFSCore

/// One line for a message of a trace.
extension SimulatedRequest {
  var brief: String {
    switch self {
    case .connect: "connect"
    case .ping: "ping"
    case .query(let keys, _): keys.isEmpty ? "ping" : "query of \(keys.count)"
    case .namespace(let request, let parts): request.brief + parts.brief
    case .copy(let request, let session, _): "\(request.brief), session \(session)"
    case .everything(let last): "rows after \(last.map { $0.order } ?? "")"
    case .refillBegin(let transfer, let view, let own):
      "transfer \(transfer) begin \(view.brief)"
        + (own.map { " of its own \($0.head.brief) but \($0.without.count)" } ?? "")
    case .refillRows(let transfer, let page, let rows):
      "transfer \(transfer) page \(page), \(rows.count) rows"
    case .refillChanges(let transfer, let page, let entries):
      "transfer \(transfer) page \(page), changes \(entries.map(\.number))"
    case .refillEnd(let transfer, _, let view, let to, _):
      "transfer \(transfer) end \(view.brief) to \(to.brief)"
    }
  }
}

extension SimulatedReply {
  var brief: String {
    switch self {
    case .connected(let session, let head): "session \(session), \(head.brief)"
    case .rows(let rows, let head, let session, let pushes):
      "changes \(rows.values.map(\.change).sorted()) at \(head.brief), session \(session), "
        + "pushes \(pushes ?? -1)"
    case .namespace(let reply): reply.brief
    case .copy(let reply): reply.brief
    case .page(let rows, let isLast, let head):
      "\(rows.count) rows\(isLast ? ", the last" : "") at \(head.brief)"
    case .done: "done"
    case .failed: "failed"
    }
  }
}

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
      "apply \(view.brief) \(number): \(change.id.sequence) of \(change.id.client.value)"
    case .log(let after): "log after \(after)"
    case .head: "head"
    }
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

extension SimulatedParts {
  fileprivate var brief: String {
    func list(_ name: String, _ ids: [PartID]) -> String {
      ids.isEmpty ? "" : " \(name) " + ids.map(\.brief).joined(separator: ", ")
    }
    return list("with", small) + list("holding", held) + (durable ? ", durable" : "")
  }
}

extension SimulatedCopyRequest {
  fileprivate var brief: String {
    switch self {
    case .put(let id, _, let durable): "put \(id.brief)\(durable ? ", durable" : "")"
    case .get(let id, let block): "get \(id.brief)\(block.map { ", block \($0)" } ?? "")"
    case .hold(let version): "hold \(version.high)-\(version.low)"
    case .release(let version): "release \(version.high)-\(version.low)"
    case .missing: "what is missing"
    case .drop(let ids): "drop \(ids.map(\.brief).joined(separator: ", "))"
    }
  }
}

extension SimulatedCopyReply {
  fileprivate var brief: String {
    switch self {
    case .done: "done"
    case .copy: "the copy"
    case .absent: "absent"
    case .damaged: "damaged"
    case .failed: "failed"
    case .held(let ids): "held, here: \(ids.map(\.brief).joined(separator: ", "))"
    case .missing(let copies): "missing: \(copies.map(\.id.brief).joined(separator: ", "))"
    case .noSession: "no session"
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

extension SimulatedOperation.Kind {
  var brief: String {
    func list(_ keys: [RowKey]) -> String { keys.map(\.brief).joined(separator: " and ") }
    return switch self {
    case .increment(let keys): "increment of \(list(keys))"
    case .create(let key): "creation of \(key.brief)"
    case .delete(let key): "deletion of \(key.brief)"
    case .read(let keys): "read of \(list(keys))"
    case .cachedRead(let keys): "cached read of \(list(keys))"
    case .publish(let key, let content):
      "publishing of \(content.version.high)-\(content.version.low) as \(key.brief)"
    case .place(let key, let content, _):
      "placing of \(content.version.high)-\(content.version.low), \(key.brief)"
    case .remove(let key): "removal of \(key.brief)"
    }
  }
}

extension History.Outcome {
  var brief: String {
    func list(_ keys: [RowKey], _ rows: [RowKey: Row]) -> String {
      keys.map { "\($0.brief) of change \(rows[$0]?.change ?? 0)" }.joined(separator: ", ")
    }
    return switch self {
    case .committed(_, let number): "committed as \(number)"
    case .observed(let keys, let rows, let head): "\(list(keys, rows)) at \(head.brief)"
    case .cached(let keys, let rows): "\(list(keys, rows)), cached"
    }
  }
}
