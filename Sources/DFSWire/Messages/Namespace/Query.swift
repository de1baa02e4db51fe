public import DFSCore
internal import FoundationEssentials
internal import SwiftProtobuf

/// Questions about rows, which `DFSCore.Query` explains, and their answers.

extension Request {
  /// Any number of questions, answered from one state of the rows.
  public struct Query: RequestMessage {
    public typealias Answer = Reply.Answers

    /// Each gets an answer.
    public let queries: [DFSCore.Query]

    /// At most `Limits.queries`.
    public init(_ queries: [DFSCore.Query]) { self.queries = queries }

    public var weight: Int { min(queries.count * 4096, Limits.answerBytes) }

    public var reserve: Int? {
      let mayBeLong = queries.contains { query in
        switch query {
        case .inode, .entry: false
        case .directory, .attributes, .everything, .substitutes: true
        }
      }
      // A row of an honest inode takes 4 KiB; that of a hostile one 64 KiB.
      let bytes =
        mayBeLong ? Limits.headerBytes : min(Limits.headerBytes, queries.count * 132 << 10)
      return 3 * bytes
    }
  }
}

extension Reply {
  /// What the rows say.
  public struct Answers: ReplyMessage {
    /// One for each query, in their order.
    public let answers: [QueryAnswer]
    /// Of the state that all of them are from.
    public let head: Head

    /// From the state at `head`.
    public init(_ answers: [QueryAnswer], head: Head) {
      self.answers = answers
      self.head = head
    }

    public var toldHead: Head? { head }
    public var isLong: Bool { answers.contains { $0.rows.count > 16 } || answers.count > 16 }
  }
}

extension Request.Query: WireMessage {
  static var shape: HeaderShape {
    let query = HeaderShape([
      2: .one(.leaf), 3: .one(.leaf), 5: .one(HeaderShape([1: .one(.leaf)])),
    ])
    return HeaderShape([1: .many(query, Limits.queries, "queries")])
  }

  var wire: ProtoQueryList { .with { $0.queries = queries.map(\.wire) } }

  init(_ asked: ProtoQueryList) throws(DFSError) {
    self.init(
      try list(asked.queries, atMost: Limits.queries, of: "queries", DFSCore.Query.init))
  }
}

extension Reply.Answers: WireMessage {
  static var shape: HeaderShape {
    let rows = HeaderShape([1: .many(Row.shape, Wire.listRows, "rows")])
    return HeaderShape([1: .many(rows, Wire.listItems, "answers"), 2: .one(Head.shape)])
  }

  var wire: ProtoAnswerList {
    .with {
      $0.answers = answers.map(\.wire)
      $0.head = head.wire
    }
  }

  init(_ answers: ProtoAnswerList) throws(DFSError) {
    self.init(
      try list(answers.answers, of: "answers", QueryAnswer.init), head: try Head(answers.head))
  }
}

extension DFSCore.Query {
  fileprivate var wire: ProtoQuery {
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

  fileprivate init(_ query: ProtoQuery) throws(DFSError) {
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
  fileprivate var wire: ProtoAnswer {
    .with {
      $0.rows = rows.map(\.wire)
      $0.isPartial = isPartial
    }
  }

  fileprivate init(_ answer: ProtoAnswer) throws(DFSError) {
    let rows = try list(answer.rows, atMost: Wire.listRows, of: "rows", Row.init)
    self.init(rows: rows, isPartial: answer.isPartial)
  }
}
