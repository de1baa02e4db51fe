internal import DFSCore
internal import SwiftProtobuf

/// Requests as protobuf and back; what comes in is checked. Neither direction has a case for the rest,
/// so that the compiler asks for a new kind.
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
    case .refillBegin(let view, let own): .refillBegin(.with { $0.fill(view, own) })
    case .refillRows(let rows): .refillRows(.with { $0.rows = rows.map(\.wire) })
    case .refillChanges(let entries): .refillChanges(.with { $0.entries = entries.map(\.wire) })
    case .refillEnd(let view, let to): .refillEnd(.with { ($0.view, $0.to) = (view.wire, to.wire) })
    case .putPart(let extent, let durable):
      .putPart(.with { ($0.extent, $0.durable) = (extent.wire, durable) })
    case .getPart(let id, let range): .getPart(.with { $0.fill(id, range) })
    case .getSmallParts(let ids): .getSmallParts(.with { $0.parts = ids.map(\.wire) })
    case .syncParts(let ids): .syncParts(.with { $0.parts = ids.map(\.wire) })
    case .dropParts(let ids): .dropParts(.with { $0.parts = ids.map(\.wire) })
    case .copies(let versions): .copies(.with { $0.versions = versions.map(\.wire) })
    case .hold(let versions): .hold(.with { $0.versions = versions.map(\.wire) })
    case .release(let versions): .release(.with { $0.versions = versions.map(\.wire) })
    case .space: .space(ProtoEmpty())
    case .wanted(let after, let limit, let claims): .wanted(.with { $0.fill(after, limit, claims) })
    case .health: .health(ProtoEmpty())
    case .scrub: .scrub(ProtoEmpty())
    case .join(let cluster): .join(cluster.wire)
    }
  }

  /// Nil if `kind` is not a request.
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
    case .refillBegin(let begin): self = try Self.refillBegin(begin)
    case .refillRows(let page):
      self = .refillRows(try list(page.rows, atMost: Wire.listRows, of: "rows", Row.init))
    case .refillChanges(let changes):
      self = .refillChanges(
        try list(changes.entries, atMost: Wire.listRows, of: "changes", LogEntry.init))
    case .refillEnd(let end):
      self = .refillEnd(try View(named: end.view), to: try Head(end.to))
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
    case .wanted(let asked): self = try Self.wanted(asked)
    case .health: self = .health
    case .scrub: self = .scrub
    case .join(let id): self = .join(try Self.cluster(id))
    case .greeting, .loginContinue, .loginDone, .done, .pong, .namespaceReply, .answers, .part,
      .copyList, .spaceReport, .failed, .wantedList, .healthReport, .smallParts, .changed,
      .everythingChanged, .goingAway:
      return nil
    }
  }

  private static func refillBegin(_ begin: ProtoRefillBegin) throws(DFSError) -> Request {
    let without = try list(begin.without, atMost: Wire.listRows, of: "keys", RowKey.init)
    let own = begin.hasOwn ? OwnRows(head: try Head(begin.own), without: without) : nil
    return .refillBegin(try View(named: begin.view), own: own)
  }

  private static func wanted(_ asked: ProtoWantedQuery) throws(DFSError) -> Request {
    let after = asked.hasAfter ? try PartID(asked.after) : nil
    let limit = try asked.limit.bounded("wanted copies:", by: UInt64(Wire.listItems))
    return .wanted(after: after, limit: Int(limit), claims: asked.claims)
  }

  private static func cluster(_ id: ProtoIdentity) throws(DFSError) -> ClusterID {
    guard let cluster = ClusterID(id) else { throw .violation("a cluster without identity") }
    return cluster
  }

  private static func versions(_ asked: ProtoVersionList) throws(DFSError) -> [VersionID] {
    try list(asked.versions, of: "versions") { VersionID($0) }
  }
}

extension ProtoRefillBegin {
  fileprivate mutating func fill(_ view: View, _ own: OwnRows?) {
    self.view = view.wire
    guard let own else { return }
    self.own = own.head.wire
    without = own.without.map(\.wire)
  }
}

extension ProtoGetPart {
  fileprivate mutating func fill(_ id: PartID, _ range: Range<UInt64>) {
    self.id = id.wire
    begin = range.lowerBound
    end = range.upperBound
  }
}

extension ProtoWantedQuery {
  fileprivate mutating func fill(_ after: PartID?, _ limit: Int, _ claims: Bool) {
    if let after { self.after = after.wire }
    self.limit = UInt32(limit)
    self.claims = claims
  }
}
