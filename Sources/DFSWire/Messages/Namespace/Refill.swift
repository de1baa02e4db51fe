public import DFSCore
internal import SwiftProtobuf

/// A state transfer: replace rows. It begins with none or with what is right of the server's own; then come
/// pages of rows, then the changes that came while the pages were read, in order; then the end. An
/// unfinished transfer changes nothing.

extension Request {
  /// Begin to replace rows.
  public struct RefillBegin: RequestMessage {
    /// What a server answers.
    public enum Answer: RequestAnswer {
      /// The rows may come.
      case begun
      /// It does not take them: `behind` if its head is another than that of `own`.
      case refused(NamespaceReply)
    }

    /// In which the transfer begins.
    public let view: View
    /// The rows that the server keeps; nil: none.
    public let own: OwnRows?

    /// In `view`, with `own` or no rows.
    public init(_ view: View, own: OwnRows?) {
      self.view = view
      self.own = own
    }

    public var order: RequestOrder? { .namespace }
    public var weight: Int { (own?.without.count ?? 0) * 64 }
  }

  /// Rows come in.
  public struct RefillRows: RequestMessage {
    public typealias Answer = Reply.Done

    /// A page of them.
    public let rows: [Row]

    /// A page of rows.
    public init(_ rows: [Row]) { self.rows = rows }

    public var order: RequestOrder? { .namespace }
    public var weight: Int { rows.reduce(0) { $0 + $1.value.bytes.count + 64 } }
  }

  /// What became of the rows while they were read.
  public struct RefillChanges: RequestMessage {
    public typealias Answer = Reply.Done

    /// The changes that are performed on the rows that came, in their order.
    public let entries: [LogEntry]

    /// The changes that come next.
    public init(_ entries: [LogEntry]) { self.entries = entries }

    public var order: RequestOrder? { .namespace }
    public var weight: Int { entries.reduce(0) { $0 + $1.change.weight } }
  }

  /// Install the view if the rows have the digest of `to`. An end that is refused, for a later view has
  /// been promised, may be tried again in a later one.
  public struct RefillEnd: RequestMessage {
    public typealias Answer = NamespaceReply

    /// Which is installed.
    public let view: View
    /// Where the server is then.
    public let to: Head

    /// To be at `to` in `view`.
    public init(_ view: View, to: Head) {
      self.view = view
      self.to = to
    }

    public var order: RequestOrder? { .namespace }
  }
}

extension Request.RefillBegin.Answer {
  /// Nil if `reply` does not answer the beginning of a transfer.
  public init?(_ reply: Reply) {
    switch reply {
    case .done: self = .begun
    case .namespaceReply(let reply): self = .refused(reply)
    default: return nil
    }
  }

  public var reply: Reply {
    switch self {
    case .begun: .done(Reply.Done())
    case .refused(let reply): .namespaceReply(reply)
    }
  }
}

extension Request.RefillBegin: WireMessage {
  static var shape: HeaderShape {
    HeaderShape([
      1: .one(View.shape), 2: .one(Head.shape), 3: .many(.leaf, Wire.listRows, "keys"),
    ])
  }

  var wire: ProtoRefillBegin {
    .with {
      $0.view = view.wire
      guard let own else { return }
      $0.own = own.head.wire
      $0.without = own.without.map(\.wire)
    }
  }

  init(_ begin: ProtoRefillBegin) throws(DFSError) {
    let without = try list(begin.without, atMost: Wire.listRows, of: "keys", RowKey.init)
    let own = begin.hasOwn ? OwnRows(head: try Head(begin.own), without: without) : nil
    self.init(try View(named: begin.view), own: own)
  }
}

extension Request.RefillRows: WireMessage {
  static var shape: HeaderShape { HeaderShape([1: .many(Row.shape, Wire.listRows, "rows")]) }
  var wire: ProtoRowList { .with { $0.rows = rows.map(\.wire) } }

  init(_ page: ProtoRowList) throws(DFSError) {
    self.init(try list(page.rows, atMost: Wire.listRows, of: "rows", Row.init))
  }
}

extension Request.RefillChanges: WireMessage {
  static var shape: HeaderShape {
    HeaderShape([1: .many(LogEntry.shape, Wire.listRows, "changes")])
  }

  var wire: ProtoRefillChanges { .with { $0.entries = entries.map(\.wire) } }

  init(_ changes: ProtoRefillChanges) throws(DFSError) {
    self.init(try list(changes.entries, atMost: Wire.listRows, of: "changes", LogEntry.init))
  }
}

extension Request.RefillEnd: WireMessage {
  static var shape: HeaderShape { HeaderShape([1: .one(View.shape), 2: .one(Head.shape)]) }

  var wire: ProtoRefillEnd {
    .with {
      $0.view = view.wire
      $0.to = to.wire
    }
  }

  init(_ end: ProtoRefillEnd) throws(DFSError) {
    self.init(try View(named: end.view), to: try Head(end.to))
  }
}
