public import DFSCore
internal import SwiftProtobuf

/// The space that a server has for a user.

extension Request {
  /// The space that the server has for this user.
  public struct Space: RequestMessage, EmptyMessage {
    public typealias Answer = SpaceReport

    /// There is nothing to say.
    public init() {}
  }
}

extension Reply {
  /// What the server has for the user.
  public typealias SpaceReport = DFSCore.SpaceReport
}

extension SpaceReport: ReplyMessage {}

extension SpaceReport: WireMessage {
  var wire: ProtoSpace {
    .with {
      $0.total = total
      $0.available = available
      $0.used = used
      $0.inodes = inodes
    }
  }

  init(_ space: ProtoSpace) throws(DFSError) {
    self.init(
      total: try space.total.bounded("the space", by: Limits.storeBytes),
      available: try space.available.bounded("the space", by: Limits.storeBytes),
      used: try space.used.bounded("the space", by: Limits.storeBytes),
      inodes: try space.inodes.bounded("the count"))
  }
}
