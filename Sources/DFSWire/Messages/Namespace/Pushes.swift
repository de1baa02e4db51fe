public import DFSCore
internal import SwiftProtobuf

/// What servers tell without being asked.

extension Push {
  /// Rows were written by another client of this user.
  public struct Changed: Hashable, Sendable {
    /// Of these rows.
    public let keys: [RowKey]
    /// Up to which they were.
    public let head: Head

    /// Rows under `keys` were written, up to `head`.
    public init(_ keys: [RowKey], head: Head) {
      self.keys = keys
      self.head = head
    }
  }

  /// Anything may have changed.
  public struct EverythingChanged: Hashable, Sendable {
    /// Up to which it may.
    public let head: Head

    /// Up to `head`.
    public init(head: Head) { self.head = head }
  }

  /// The server stops; finish and reconnect later.
  public struct GoingAway: Hashable, Sendable, EmptyMessage {
    /// There is nothing to say.
    public init() {}
  }
}

extension Push.Changed: WireMessage {
  static var shape: HeaderShape {
    HeaderShape([1: .many(.leaf, Limits.changeWrites, "keys"), 2: .one(Head.shape)])
  }

  var wire: ProtoChanged {
    .with {
      $0.keys = keys.map(\.wire)
      $0.head = head.wire
    }
  }

  init(_ changed: ProtoChanged) throws(DFSError) {
    self.init(
      try list(changed.keys, atMost: Limits.changeWrites, of: "keys", RowKey.init),
      head: try Head(changed.head))
  }
}

extension Push.EverythingChanged: WireMessage {
  static var shape: HeaderShape { Head.shape }
  var wire: ProtoHead { head.wire }
  init(_ head: ProtoHead) throws(DFSError) { self.init(head: try Head(head)) }
}
