public import DFSCore
internal import SwiftProtobuf

/// Whether a server lives, and where it is.

extension Request {
  /// An answer proves that the server lives and that all its earlier pushes have been delivered.
  public struct Ping: RequestMessage, EmptyMessage {
    public typealias Answer = Reply.Pong

    /// There is nothing to say.
    public init() {}
  }
}

extension Reply {
  /// The server lives.
  public struct Pong: ReplyMessage {
    /// Of the server.
    public let head: Head

    /// From a server at `head`.
    public init(_ head: Head) { self.head = head }

    public var toldHead: Head? { head }
  }
}

extension Reply.Pong: WireMessage {
  static var shape: HeaderShape { Head.shape }
  var wire: ProtoHead { head.wire }
  init(_ head: ProtoHead) throws(DFSError) { self.init(try Head(head)) }
}
