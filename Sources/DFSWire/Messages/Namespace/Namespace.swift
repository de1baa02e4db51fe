public import DFSCore
internal import SwiftProtobuf

/// The steps of the namespace protocol, which `NamespaceRequest` and `NamespaceReply` explain.

extension Request {
  /// A step of the namespace protocol, and what travels with a change.
  public struct Namespace: RequestMessage {
    public typealias Answer = NamespaceReply

    /// What is to be done.
    public let step: NamespaceRequest
    /// The copies of small parts that this server is to keep with the change.
    public let parts: [InlinePart]
    /// The copies that it must already have.
    public let held: [PartID]
    /// Whether it is on stable storage before the answer.
    public let durable: Bool

    /// The last three come with `apply` only.
    public init(
      _ step: NamespaceRequest, parts: [InlinePart] = [], held: [PartID] = [],
      durable: Bool = false
    ) {
      self.step = step
      self.parts = parts
      self.held = held
      self.durable = durable
    }

    public var order: RequestOrder? { .namespace }

    public var weight: Int {
      step.weight + parts.reduce(0) { $0 + $1.bytes.count } + held.count * 32
    }
  }
}

extension Reply {
  /// What a step came to.
  public typealias NamespaceReply = DFSCore.NamespaceReply
}

extension Request.Namespace: WireMessage {
  static var shape: HeaderShape {
    HeaderShape([
      1: .one(View.shape),
      2: .one(
        HeaderShape([
          1: .one(View.shape), 2: .one(Head.shape),
          3: .many(Change.shape, Wire.listRows, "changes"),
          4: .one(Head.shape),
        ])),
      3: .one(HeaderShape([1: .one(View.shape), 3: .one(Change.shape)])), 4: .one(.leaf),
      5: .one(.leaf),
      10: .many(InlinePart.shape, Wire.listItems, "parts"),
      11: .many(PartID.shape, Wire.listItems, "parts"),
    ])
  }

  var wire: ProtoNamespaceStep {
    .with {
      $0.step = step.wire
      $0.parts = parts.map(\.wire)
      $0.held = held.map(\.wire)
      $0.durable = durable
    }
  }

  init(_ wire: ProtoNamespaceStep) throws(DFSError) {
    self.init(
      try NamespaceRequest(wire.step), parts: try list(wire.parts, of: "parts", InlinePart.init),
      held: try list(wire.held, of: "parts", PartID.init), durable: wire.durable)
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

  fileprivate init(_ step: ProtoNamespaceStep.OneOf_Step?) throws(DFSError) {
    switch step {
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

  fileprivate var weight: Int {
    switch self {
    case .install(_, _, let changes, _): changes.reduce(0) { $0 + $1.weight }
    case .apply(_, _, let change): change.weight
    case .log: 3 * Limits.answerBytes
    case .prepare, .head: 0
    }
  }
}

extension NamespaceReply: ReplyMessage {
  public var toldHead: Head? {
    switch self {
    case .promised(let head), .installed(let head), .applied(let head), .behind(let head),
      .log(_, _, let head), .head(let head), .foreign(let head):
      head
    case .refused, .missingParts: nil
    }
  }

  public var isLong: Bool { if case .log = self { true } else { false } }
}

extension NamespaceReply: WireMessage {
  static var shape: HeaderShape {
    HeaderShape([
      1: .one(Head.shape), 2: .one(Head.shape), 3: .one(Head.shape), 4: .one(Head.shape),
      5: .one(View.shape), 6: .one(.parts),
      7: .one(
        HeaderShape([
          1: .one(.leaf), 2: .many(LogEntry.shape, Wire.listRows, "changes"), 3: .one(Head.shape),
        ])),
      8: .one(Head.shape), 9: .one(Head.shape),
    ])
  }

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
