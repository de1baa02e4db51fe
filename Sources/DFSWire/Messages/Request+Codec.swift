internal import DFSCore
internal import SwiftProtobuf

/// Requests as protobuf and back; what comes in is checked.
extension Request {
  var wire: ProtoHeader.OneOf_Kind {
    switch self {
    case .hello(let hello): .hello(hello.wire)
    case .loginBegin(let text): .loginBegin(.with { $0.text = text })
    case .loginEnd(let text): .loginEnd(.with { $0.text = text })
    case .ping: .ping(ProtoEmpty())
    case .namespace(let request, let parts, let held, let durable):
      .namespace(.with { $0.fill(request, parts: parts, held: held, durable: durable) })
    case .query(let queries): .query(.with { $0.queries = queries.map(\.wire) })
    case .refillBegin(let view, let own):
      .refillBegin(
        .with {
          $0.view = view.wire
          guard let own else { return }
          $0.own = own.head.wire
          $0.without = own.without.map(\.wire)
        })
    case .refillRows(let rows): .refillRows(.with { $0.rows = rows.map(\.wire) })
    case .refillChanges(let entries):
      .refillChanges(.with { $0.entries = entries.map(\.wire) })
    case .refillEnd(let view, let to):
      .refillEnd(
        .with {
          $0.view = view.wire
          $0.to = to.wire
        })
    case .wanted(let after, let limit, let claims):
      .wanted(
        .with {
          if let after { $0.after = after.wire }
          $0.limit = UInt32(limit)
          $0.claims = claims
        })
    case .health: .health(ProtoEmpty())
    case .scrub: .scrub(ProtoEmpty())
    case .join(let cluster): .join(cluster.wire)
    case .putPart, .getPart, .getSmallParts, .syncParts, .dropParts, .copies, .hold, .release,
      .space:
      wireOfParts
    }
  }

  /// Nil if `kind` is no request.
  init?(_ kind: ProtoHeader.OneOf_Kind) throws(DFSError) {
    switch kind {
    case .hello(let hello): self = .hello(Hello(hello))
    case .loginBegin(let scram): self = .loginBegin(scram: scram.text)
    case .loginEnd(let scram): self = .loginEnd(scram: scram.text)
    case .ping: self = .ping
    case .namespace(let step):
      self = .namespace(
        try NamespaceRequest(step),
        parts: try list(step.parts, of: "parts", InlinePart.init),
        held: try list(step.held, of: "parts", PartID.init), durable: step.durable)
    case .query(let asked):
      self = .query(try list(asked.queries, atMost: Limits.queries, of: "queries", Query.init))
    case .refillBegin(let begin):
      let without = try list(begin.without, atMost: Wire.listRows, of: "keys", RowKey.init)
      let own = begin.hasOwn ? OwnRows(head: try Head(begin.own), without: without) : nil
      self = .refillBegin(try View(named: begin.view), own: own)
    case .refillRows(let page):
      self = .refillRows(try list(page.rows, atMost: Wire.listRows, of: "rows", Row.init))
    case .refillChanges(let changes):
      self = .refillChanges(
        try list(changes.entries, atMost: Wire.listRows, of: "changes", LogEntry.init))
    case .refillEnd(let end):
      self = .refillEnd(try View(named: end.view), to: try Head(end.to))
    case .wanted(let asked):
      let after = asked.hasAfter ? try PartID(asked.after) : nil
      let limit = try asked.limit.bounded("wanted copies:", by: UInt64(Wire.listItems))
      self = .wanted(after: after, limit: Int(limit), claims: asked.claims)
    case .health: self = .health
    case .scrub: self = .scrub
    case .join(let id):
      guard let cluster = ClusterID(id) else { throw .violation("a cluster without identity") }
      self = .join(cluster)
    default:
      guard let request = try Request(ofParts: kind) else { return nil }
      self = request
    }
  }
}

extension Request {
  private var wireOfParts: ProtoHeader.OneOf_Kind {
    switch self {
    case .putPart(let extent, let durable):
      .putPart(
        .with {
          $0.extent = extent.wire
          $0.durable = durable
        })
    case .getPart(let id, let range):
      .getPart(
        .with {
          $0.id = id.wire
          $0.begin = range.lowerBound
          $0.end = range.upperBound
        })
    case .getSmallParts(let ids): .getSmallParts(.with { $0.parts = ids.map(\.wire) })
    case .syncParts(let ids): .syncParts(.with { $0.parts = ids.map(\.wire) })
    case .dropParts(let ids): .dropParts(.with { $0.parts = ids.map(\.wire) })
    case .copies(let versions): .copies(.with { $0.versions = versions.map(\.wire) })
    case .hold(let versions): .hold(.with { $0.versions = versions.map(\.wire) })
    case .release(let versions): .release(.with { $0.versions = versions.map(\.wire) })
    default: .space(ProtoEmpty())
    }
  }

  private init?(ofParts kind: ProtoHeader.OneOf_Kind) throws(DFSError) {
    switch kind {
    case .putPart(let put): self = .putPart(try PartExtent(put.extent), durable: put.durable)
    case .getPart(let get):
      let range = try PartExtent.range(from: get.begin, to: get.end)
      self = .getPart(try PartID(get.id), range: range)
    case .getSmallParts(let parts):
      self = .getSmallParts(
        try list(parts.parts, atMost: Limits.partCount, of: "small parts", PartID.init))
    case .syncParts(let parts): self = .syncParts(try list(parts.parts, of: "parts", PartID.init))
    case .dropParts(let parts): self = .dropParts(try list(parts.parts, of: "parts", PartID.init))
    case .copies(let asked): self = .copies(try Self.versions(asked))
    case .hold(let asked): self = .hold(try Self.versions(asked))
    case .release(let asked): self = .release(try Self.versions(asked))
    case .space: self = .space
    default: return nil
    }
  }

  private static func versions(_ asked: ProtoVersionList) throws(DFSError) -> [VersionID] {
    try list(asked.versions, of: "versions") { VersionID($0) }
  }
}
