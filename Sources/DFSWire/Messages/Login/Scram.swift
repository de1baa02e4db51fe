public import DFSCore
internal import SwiftProtobuf

/// A login by SCRAM-SHA-256 (RFC 5802): two questions, two answers.

extension Request {
  /// The client-first message.
  public struct LoginBegin: RequestMessage, ScramMessage {
    public typealias Answer = Reply.LoginContinue

    /// As RFC 5802 has it.
    public let scram: String

    /// Nothing is checked here.
    public init(scram: String) { self.scram = scram }
  }

  /// The client-final message.
  public struct LoginEnd: RequestMessage, ScramMessage {
    public typealias Answer = Reply.LoginDone

    /// As RFC 5802 has it.
    public let scram: String

    /// Nothing is checked here.
    public init(scram: String) { self.scram = scram }
  }
}

extension Reply {
  /// The server-first message.
  public struct LoginContinue: ReplyMessage, ScramMessage {
    /// As RFC 5802 has it.
    public let scram: String

    /// Nothing is checked here.
    public init(scram: String) { self.scram = scram }
  }

  /// The server-final message: logged in.
  public struct LoginDone: ReplyMessage {
    /// As RFC 5802 has it.
    public let scram: String
    /// Which namespace the server has of the user; nil if none.
    public let namespace: NamespaceID?

    /// Nothing is checked here.
    public init(scram: String, namespace: NamespaceID?) {
      self.scram = scram
      self.namespace = namespace
    }
  }
}

extension Reply.LoginDone: WireMessage {
  static var shape: HeaderShape { HeaderShape([2: .one(.leaf)]) }

  var wire: ProtoLoginDone {
    .with {
      $0.text = scram
      if let namespace { $0.namespace = namespace.wire }
    }
  }

  init(_ done: ProtoLoginDone) throws(DFSError) {
    self.init(scram: done.text, namespace: RandomID(done.namespace))
  }
}

protocol ScramMessage: WireMessage where Proto == ProtoScram {
  var scram: String { get }
  init(scram: String)
}

extension ScramMessage {
  var wire: ProtoScram { .with { $0.text = scram } }
  init(_ wire: ProtoScram) throws(DFSError) { self.init(scram: wire.text) }
}
