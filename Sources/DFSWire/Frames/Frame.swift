public import DFSCore
public import NIOCore

/// What a frame carries. `id` matches a reply with its request; it is chosen by the client.
/// In memory of its own: on its way through a pipeline it is handed on many times.
public indirect enum Message: Hashable, Sendable {
  /// `id` is not 0.
  case request(id: UInt64, Request)
  /// `id` 0: a failure of the connection as a whole, which is closed after it.
  case reply(id: UInt64, Reply)
  case push(Push)
  /// The frame is whole, but its message is of an unknown kind or has a value out of range. A
  /// server answers with the error; a client fails the request of that id with it.
  case unreadable(id: UInt64, DFSError)
  /// The header is large, and its bytes were only counted: `Frame.decoded` makes its message, not on
  /// an event loop. `weight`: about how many bytes it takes.
  case large(header: [UInt8], weight: Int)
}

/// A message, and the raw bytes that come with `putPart` and `part` (nil where there are none).
public struct Frame: Hashable, Sendable {
  /// What the header says.
  public let message: Message
  /// The raw bytes, at most `Limits.chunkBytes`.
  public let body: ByteBuffer?

  /// A message with its raw bytes; a body of no bytes is none.
  public init(_ message: Message, body: ByteBuffer? = nil) {
    self.message = message
    self.body = body.flatMap { $0.readableBytes == 0 ? nil : $0 }
  }
}

/// What both sides agree on (docs/FORMATS.md, "Wire").
public enum Wire {
  /// The version of the protocol; a server refuses a client of another one.
  public static let version: UInt32 = 2
  /// Ids (of parts, of versions) and queries that one message may list.
  public static let listItems = 4096
  /// Bytes of a part that `GetBytes` asks for.
  public static let rangeBytes = 16 << 10
  /// Rows, or changes, that one list holds.
  public static let listRows = 65_536
  /// A header of more bytes is not decoded on an event loop of a server.
  static let largeHeaderBytes = 16 << 10
  /// Bytes of a row's value.
  public static let rowBytes = Limits.attributeValueBytes + 1024
  /// Before the header: the length of the frame and the length of the header.
  static let prefixBytes = 8
}
