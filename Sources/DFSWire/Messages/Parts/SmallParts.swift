public import DFSCore
internal import SwiftProtobuf

/// Small parts, several at once.

extension Request {
  /// The whole of each of these parts that is here, whole itself and small.
  public struct GetSmallParts: RequestMessage, PartsMessage {
    public typealias Answer = Reply.SmallParts
    static var limit: (count: Int, name: String) { (Limits.partCount, "small parts") }

    /// At most four.
    public let parts: [PartID]

    /// At most four parts.
    public init(_ parts: [PartID]) { self.parts = parts }

    public var weight: Int { parts.count * (Limits.inlinePartBytes + 64) }
  }
}

extension Reply {
  /// Those of the parts that were asked for that are here, in their order.
  public struct SmallParts: ReplyMessage {
    /// With their bytes.
    public let parts: [InlinePart]
    /// Of the server, after it was asked; nil from one before 1.2.
    public let head: Head?

    /// Those that are here.
    public init(_ parts: [InlinePart], head: Head?) {
      self.parts = parts
      self.head = head
    }

    public var toldHead: Head? { head }
    public var isLong: Bool { true }
  }
}

extension Reply.SmallParts: WireMessage {
  static var shape: HeaderShape {
    HeaderShape([
      1: .many(InlinePart.shape, Limits.partCount, "small parts"), 2: .one(Head.shape),
    ])
  }

  var wire: ProtoSmallParts {
    .with {
      $0.parts = parts.map(\.wire)
      if let head { $0.head = head.wire }
    }
  }

  init(_ small: ProtoSmallParts) throws(DFSError) {
    self.init(
      try list(small.parts, atMost: Limits.partCount, of: "small parts", InlinePart.init),
      head: small.hasHead ? try Head(small.head) : nil)
  }
}
