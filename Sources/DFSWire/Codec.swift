internal import DFSCore
internal import NIOCore
internal import SwiftProtobuf

/// A frame's header ↔ its message. The other Codec files map the values; each value that comes in
/// is checked there, so that nothing behind this room meets one out of bounds.

extension Frame {
  func encodedHeader() throws(DFSError) -> [UInt8] {
    var header = ProtoHeader()
    switch message {
    case .request(let id, let request):
      header.id = id
      header.kind = request.wire
    case .reply(let id, let reply):
      header.id = id
      header.kind = reply.wire
    case .push(let push):
      header.kind = push.wire
    case .unreadable(let id, let error):
      header.id = id
      header.kind = .failed(error.wire)
    }
    do {
      return try header.serializedBytes()
    } catch {
      throw DFSError(.invalidArgument, "a message cannot be encoded", cause: error)
    }
  }

  /// - Throws: if the header is no protobuf message at all.
  init(header bytes: [UInt8], body: ByteBuffer) throws(DFSError) {
    let header: ProtoHeader
    do {
      header = try ProtoHeader(serializedBytes: bytes)
    } catch {
      throw DFSError(.protocolViolation, "a header that is no protobuf message", cause: error)
    }
    do {
      let message = try Message(header)
      try message.check(body: body.readableBytes)
      self.init(message, body: body)
    } catch {
      self.init(.unreadable(id: header.id, error))
    }
  }
}

extension Message {
  fileprivate init(_ header: ProtoHeader) throws(DFSError) {
    guard let kind = header.kind else {
      throw .violation("unknown message; this program speaks version \(Wire.version) of the wire")
    }
    if let request = try Request(kind) {
      guard header.id != 0 else { throw .violation("a request with the id 0") }
      self = .request(id: header.id, request)
    } else if let reply = try Reply(kind) {
      self = .reply(id: header.id, reply)
    } else if let push = try Push(kind) {
      self = .push(push)
    } else {
      throw .violation("unknown message")
    }
  }

  /// Only pieces of parts have a body, and exactly the one that their extent describes.
  fileprivate func check(body bytes: Int) throws(DFSError) {
    switch self {
    case .request(_, .putPart(let extent, _)), .reply(_, .part(let extent)):
      try extent.check(body: bytes)
    default:
      guard bytes == 0 else {
        throw .violation("a body of \(bytes) bytes with a message that has none")
      }
    }
  }
}

extension DFSError {
  static func violation(_ message: String) -> DFSError { DFSError(.protocolViolation, message) }
}

/// Maps a list whose length is bounded.
func list<Wired, Value>(
  _ items: [Wired], atMost bound: Int = Wire.listItems, of name: String,
  _ value: (Wired) throws(DFSError) -> Value
) throws(DFSError) -> [Value] {
  guard items.count <= bound else {
    throw .violation("\(items.count) \(name) in one message; the bound is \(bound)")
  }
  var values: [Value] = []
  values.reserveCapacity(items.count)
  for item in items { values.append(try value(item)) }
  return values
}
