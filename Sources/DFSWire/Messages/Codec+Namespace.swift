internal import DFSCore
internal import FoundationEssentials
internal import SwiftProtobuf

/// The steps of the namespace protocol, and queries.

extension ProtoNamespaceStep {
  mutating func fill(
    _ request: NamespaceRequest, parts: [InlinePart], held: [PartID], durable: Bool
  ) {
    step = request.wire
    self.parts = parts.map(\.wire)
    self.held = held.map(\.wire)
    self.durable = durable
  }
}

extension NamespaceRequest {
  fileprivate var wire: ProtoNamespaceStep.OneOf_Step {
    switch self {
    case .prepare(let view): .prepare(view.wire)
    case .install(let view, let from, let changes, let to):
      .install(
        .with {
          $0.view = view.wire
          $0.from = from.wire
          $0.changes = changes.map(\.wire)
          $0.to = to.wire
        })
    case .apply(let view, let number, let change):
      .apply(
        .with {
          $0.view = view.wire
          $0.number = number
          $0.change = change.wire
        })
    case .log(let number): .log(.with { $0.number = number })
    case .head: .head(ProtoEmpty())
    }
  }

  init(_ request: ProtoNamespaceStep) throws(DFSError) {
    switch request.step {
    case .prepare(let view): self = .prepare(try View(named: view))
    case .install(let install):
      let changes = try list(install.changes, atMost: Wire.listRows, of: "changes", Change.init)
      self = .install(
        try View(named: install.view), from: try Head(install.from), changes: changes,
        to: try Head(install.to))
    case .apply(let apply):
      self = .apply(
        try View(named: apply.view), number: try apply.number.bounded("the number"),
        try Change(apply.change))
    case .log(let log): self = .log(after: try log.number.bounded("the number"))
    case .head: self = .head
    case nil: throw .violation("unknown message: a namespace step of no known kind")
    }
  }
}

extension NamespaceReply {
  var wire: ProtoNamespaceReply {
    .with {
      switch self {
      case .promised(let head): $0.promised = head.wire
      case .installed(let head): $0.installed = head.wire
      case .applied(let head): $0.applied = head.wire
      case .behind(let head): $0.behind = head.wire
      case .refused(let view): $0.refused = view.wire
      case .missingParts(let parts): $0.missingParts.parts = parts.map(\.wire)
      case .log(let base, let entries, let head):
        if let base { $0.log.base = base.wire }
        $0.log.entries = entries.map(\.wire)
        $0.log.head = head.wire
      case .head(let head): $0.head = head.wire
      case .foreign(let head): $0.foreign = head.wire
      }
    }
  }

  init(_ reply: ProtoNamespaceReply) throws(DFSError) {
    switch reply.outcome {
    case .promised(let head): self = .promised(try Head(head))
    case .installed(let head): self = .installed(try Head(head))
    case .applied(let head): self = .applied(try Head(head))
    case .behind(let head): self = .behind(try Head(head))
    case .refused(let view): self = .refused(try View(view))
    case .missingParts(let missing):
      self = .missingParts(try list(missing.parts, of: "parts", PartID.init))
    case .log(let log):
      self = .log(
        base: log.hasBase ? RowDigest(log.base) : nil,
        entries: try list(log.entries, atMost: Wire.listRows, of: "changes", LogEntry.init),
        head: try Head(log.head))
    case .head(let head): self = .head(try Head(head))
    case .foreign(let head): self = .foreign(try Head(head))
    case nil: throw .violation("unknown message: a namespace reply of no known kind")
    }
  }
}

extension Query {
  var wire: ProtoQuery {
    .with {
      switch self {
      case .inode(let id): $0.inode = id.value
      case .entry(let parent, let name):
        $0.entry.parent = parent.value
        $0.entry.name = Data(name.bytes)
      case .directory(let id, let after):
        $0.directory.inode = id.value
        if let after { $0.directory.after = Data(after.bytes) }
      case .attributes(let id): $0.attributes = id.value
      case .everything(let after):
        $0.everything = ProtoQuery.Everything()
        if let after { $0.everything.after = after.wire }
      case .substitutes(let after): $0.standIns = after?.value ?? 0
      }
    }
  }

  init(_ query: ProtoQuery) throws(DFSError) {
    switch query.question {
    case .inode(let id): self = .inode(InodeID(id))
    case .entry(let entry):
      self = .entry(parent: InodeID(entry.parent), name: try FileName(entry.name))
    case .directory(let asked):
      let after = asked.hasAfter ? try FileName(asked.after) : nil
      self = .directory(InodeID(asked.inode), after: after)
    case .attributes(let id): self = .attributes(InodeID(id))
    case .everything(let asked):
      self = .everything(after: asked.hasAfter ? try RowKey(asked.after) : nil)
    case .standIns(let after): self = .substitutes(after: after == 0 ? nil : InodeID(after))
    case nil: throw .violation("unknown message: a query of no known kind")
    }
  }
}

extension QueryAnswer {
  var wire: ProtoAnswer {
    .with {
      $0.rows = rows.map(\.wire)
      $0.isPartial = isPartial
    }
  }

  init(_ answer: ProtoAnswer) throws(DFSError) {
    let rows = try list(answer.rows, atMost: Wire.listRows, of: "rows", Row.init)
    self.init(rows: rows, isPartial: answer.isPartial)
  }
}
