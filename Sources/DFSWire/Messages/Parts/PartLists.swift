public import DFSCore
internal import SwiftProtobuf

/// What is done with uploaded copies.

extension Request {
  /// Puts the copies (and their directory) on stable storage.
  public struct SyncParts: RequestMessage, PartsMessage {
    public typealias Answer = Reply.Done

    /// Of which the server has copies.
    public let parts: [PartID]

    /// The copies of these parts.
    public init(_ parts: [PartID]) { self.parts = parts }

    public var weight: Int { parts.count * 32 }
  }

  /// Forgets uploaded copies that no change names.
  public struct DropParts: RequestMessage, PartsMessage {
    public typealias Answer = Reply.Done

    /// Of which the server may have copies.
    public let parts: [PartID]

    /// The copies of these parts.
    public init(_ parts: [PartID]) { self.parts = parts }

    public var weight: Int { parts.count * 32 }
  }
}

/// One that lists parts and says nothing else.
protocol PartsMessage: WireMessage where Proto == ProtoPartList {
  /// How many it may list, and what they are called.
  static var limit: (count: Int, name: String) { get }
  var parts: [PartID] { get }
  init(_ parts: [PartID])
}

extension PartsMessage {
  static var limit: (count: Int, name: String) { (Wire.listItems, "parts") }
  static var shape: HeaderShape { .parts }
  var wire: ProtoPartList { .with { $0.parts = parts.map(\.wire) } }

  init(_ wire: ProtoPartList) throws(DFSError) {
    let (count, name) = Self.limit
    self.init(try list(wire.parts, atMost: count, of: name, PartID.init))
  }
}
