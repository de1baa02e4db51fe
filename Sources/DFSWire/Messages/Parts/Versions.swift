public import DFSCore
internal import FoundationEssentials
internal import SwiftProtobuf

/// What a server has of versions, and which versions it keeps though they be replaced.

extension Request {
  /// Which parts of these versions are here.
  public struct Copies: RequestMessage, VersionsMessage {
    public typealias Answer = Reply.CopyList

    /// That are asked for.
    public let versions: [VersionID]

    /// At most `Wire.listItems`.
    public init(_ versions: [VersionID]) { self.versions = versions }

    public var weight: Int { versions.count * 256 }
  }

  /// The versions that this connection has open: their copies are kept as long as it lives.
  public struct Hold: RequestMessage, VersionsMessage {
    public typealias Answer = Reply.Done

    /// That are open from now on.
    public let versions: [VersionID]

    /// At most `Wire.listItems`.
    public init(_ versions: [VersionID]) { self.versions = versions }

    public var order: RequestOrder? { .holds }
    public var weight: Int { versions.count * 32 }
  }

  /// Let go of versions that this connection holds.
  public struct Release: RequestMessage, VersionsMessage {
    public typealias Answer = Reply.Done

    /// That are open no more.
    public let versions: [VersionID]

    /// At most `Wire.listItems`.
    public init(_ versions: [VersionID]) { self.versions = versions }

    public var order: RequestOrder? { .holds }
    public var weight: Int { versions.count * 32 }
  }
}

extension Reply {
  /// What is here of versions.
  public struct CopyList: ReplyMessage {
    /// For each version asked, in order, the parts that are here.
    public let parts: [[PartIndex]]

    /// A list for each version asked.
    public init(_ parts: [[PartIndex]]) { self.parts = parts }

    public var isLong: Bool { true }
  }
}

extension Reply.CopyList: WireMessage {
  var wire: ProtoCopyList {
    .with { $0.parts = Data(parts.map { $0.reduce(0) { $0 | 1 << $1.value } }) }
  }

  init(_ copies: ProtoCopyList) throws(DFSError) {
    self.init(
      try list(Array(copies.parts), of: "versions") { bits in
        PartIndex.all.filter { bits & 1 << $0.value != 0 }
      })
  }
}

/// One that lists versions and says nothing else.
protocol VersionsMessage: WireMessage where Proto == ProtoVersionList {
  var versions: [VersionID] { get }
  init(_ versions: [VersionID])
}

extension VersionsMessage {
  static var shape: HeaderShape { .versions }
  var wire: ProtoVersionList { .with { $0.versions = versions.map(\.wire) } }

  init(_ wire: ProtoVersionList) throws(DFSError) {
    self.init(try list(wire.versions, of: "versions") { VersionID($0) })
  }
}
