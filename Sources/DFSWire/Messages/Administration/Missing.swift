public import DFSCore
internal import SwiftProtobuf

/// The copies that a server should have and has not.

extension Request {
  /// Copies that this server lacks, in order.
  public struct Missing: RequestMessage {
    public typealias Answer = Reply.MissingList

    /// The one after which to begin; nil: with the first.
    public let after: PartID?
    /// How many are told at most.
    public let limit: Int
    /// The client is about to bring them, and is told of none that another has claimed lately.
    public let claims: Bool

    /// At most `limit` after `after`.
    public init(after: PartID?, limit: Int, claims: Bool) {
      self.after = after
      self.limit = limit
      self.claims = claims
    }

    public var weight: Int { limit * 64 }
  }
}

extension Reply {
  /// Copies that the server lacks.
  public struct MissingList: ReplyMessage {
    /// As they were asked for.
    public let copies: [MissingCopy]
    /// All that the server lacks.
    public let total: UInt64

    /// Some of `total`.
    public init(_ copies: [MissingCopy], total: UInt64) {
      self.copies = copies
      self.total = total
    }

    public var isLong: Bool { true }
  }
}

extension Request.Missing: WireMessage {
  static var shape: HeaderShape { HeaderShape([2: .one(PartID.shape)]) }

  var wire: ProtoMissingQuery {
    .with {
      if let after { $0.after = after.wire }
      $0.limit = UInt32(limit)
      $0.claims = claims
    }
  }

  init(_ asked: ProtoMissingQuery) throws(DFSError) {
    let limit = try asked.limit.bounded("missing copies:", by: UInt64(Wire.listItems))
    self.init(
      after: asked.hasAfter ? try PartID(asked.after) : nil, limit: Int(limit),
      claims: asked.claims)
  }
}

extension Reply.MissingList: WireMessage {
  static var shape: HeaderShape {
    let copy = HeaderShape([1: .one(PartID.shape)])
    return HeaderShape([1: .many(copy, Wire.listItems, "copies")])
  }

  var wire: ProtoMissingList {
    .with {
      $0.copies = copies.map(\.wire)
      $0.total = total
    }
  }

  init(_ missing: ProtoMissingList) throws(DFSError) {
    self.init(
      try list(missing.copies, of: "copies", MissingCopy.init),
      total: try missing.total.bounded("the count"))
  }
}

extension MissingCopy {
  fileprivate var wire: ProtoMissingCopy {
    .with {
      $0.id = id.wire
      $0.inode = inode.value
      $0.copies = content.copies
    }
  }

  fileprivate init(_ copy: ProtoMissingCopy) throws(DFSError) {
    let id = try PartID(copy.id)
    self.init(
      id: id, inode: InodeID(copy.inode),
      content: RowContent(version: id.version, copies: copy.copies))
  }
}
