public import DFSCore
internal import SwiftProtobuf

/// What any request may be answered with: that it is done, or why not.

extension Reply {
  /// What was asked for is done; there is nothing to say about it.
  public struct Done: ReplyMessage, EmptyMessage {
    /// No more than that.
    public init() {}
  }

  /// The request was refused or failed.
  public struct Failed: ReplyMessage {
    /// Of the server.
    public let error: DFSError

    /// With this error of the server.
    public init(_ error: DFSError) { self.error = error }

    public func showing(_ shown: (String) -> String) -> Failed {
      Failed(DFSError(error.code, shown(error.description)))
    }
  }
}

extension Reply.Failed: WireMessage {
  /// The text of a cause that happened in another process.
  private struct Cause: Error, CustomStringConvertible {
    let description: String
  }

  var wire: ProtoFailure {
    .with {
      $0.code = error.code.rawValue
      $0.message = error.message
      if let cause = error.cause { $0.cause = cause }
    }
  }

  /// A kind that this program does not know reads as `inputOutput`; the message tells.
  init(_ failure: ProtoFailure) throws(DFSError) {
    error = DFSError(
      DFSError.Code(rawValue: failure.code) ?? .inputOutput, failure.message,
      cause: failure.hasCause ? Cause(description: failure.cause) : nil)
  }
}
