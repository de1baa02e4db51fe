public import DFSCore

/// What messages say of themselves. Each is one type in a file of its family: its values, its way to and
/// from protobuf, and what flow control and order need. `Generated/Messages.swift`, made from dfs.proto,
/// has the enums of all of them.

/// What a client asks of a server.
public protocol RequestMessage: Hashable, Sendable {
  /// What a server answers to it, unless it fails.
  associatedtype Answer: RequestAnswer

  /// Its field of `Header.kind` in dfs.proto.
  static var name: String { get }
  /// As one of all requests.
  var request: Request { get }
  /// It is performed after the earlier requests of its connection with the same; nil: whenever it comes.
  var order: RequestOrder? { get }
  /// About how many bytes it takes, without a body, and its answer will take.
  var weight: Int { get }
  /// What it may come to take until its answer is known, where that can be far more than the weight.
  var reserve: Int? { get }
  /// Bytes of the body that its answer will have.
  var answerBodyBytes: Int { get }
}

extension RequestMessage {
  public var order: RequestOrder? { nil }
  public var weight: Int { 0 }
  public var reserve: Int? { nil }
  public var answerBodyBytes: Int { 0 }

  /// What `reply` says, which came for such a request.
  /// - Throws: the server's error if it failed; `protocolViolation` if another request is answered so.
  @inlinable
  public static func answer(
    in reply: Reply, by server: some CustomStringConvertible
  ) throws(DFSError) -> Answer {
    if case .failed(let failed) = reply { throw failed.error }
    guard let answer = Answer(reply) else {
      throw DFSError(
        .protocolViolation, "\(server) answered a \(name) request with something else")
    }
    return answer
  }
}

/// Requests of one connection that are performed in the order in which they came.
public enum RequestOrder: Hashable, Sendable {
  /// What changes the rows of the user.
  case namespace
  /// The pieces of one copy.
  case part(PartID)
  /// What this connection has open.
  case holds
}

/// What a server answers to one kind of request: a reply, or one of several.
public protocol RequestAnswer: Hashable, Sendable {
  /// Nil if `reply` is of another kind.
  init?(_ reply: Reply)
  /// As one of all replies.
  var reply: Reply { get }
}

/// What a server answers.
public protocol ReplyMessage: RequestAnswer {
  /// The head that the server has as it answers, where the answer tells it.
  var toldHead: Head? { get }
  /// Whether it may be so long that it is not encoded on an event loop.
  var isLong: Bool { get }
  /// Itself with `shown` of each text that people are shown.
  func showing(_ shown: (String) -> String) -> Self
}

extension ReplyMessage {
  public var toldHead: Head? { nil }
  public var isLong: Bool { false }
  public func showing(_ shown: (String) -> String) -> Self { self }
}
