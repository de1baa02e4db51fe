internal import DFSCore
internal import NIOCore
internal import SwiftProtobuf

/// A frame's header ↔ its message. The messages map and check their values themselves.

extension Frame {
  func encodedHeader() throws(DFSError) -> [UInt8] {
    if let bytes = message.directBytes {
      let head = try directHead(about: bytes, allocator: ByteBufferAllocator())
      return Array(head.readableBytesView.dropFirst(Wire.prefixBytes))
    }
    return try encodedByProtobuf()
  }

  /// What any message may be encoded by; the bytes are those that are written directly.
  func encodedByProtobuf() throws(DFSError) -> [UInt8] {
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
      header.kind = .failed(Reply.Failed(error).wire)
    case .large(let bytes, _): return bytes
    }
    do {
      return try header.serializedBytes()
    } catch {
      throw DFSError(.invalidArgument, "a message cannot be encoded", cause: error)
    }
  }

  /// The lengths and the header, of a message that is written directly.
  /// - Parameter bytes: how many the header has, or nearly so.
  func directHead(about bytes: Int, allocator: ByteBufferAllocator) throws(DFSError) -> ByteBuffer {
    var capacity = Wire.prefixBytes + bytes
    // A header over the limit is refused later, by its length.
    while capacity <= 4 * Limits.headerBytes {
      var buffer = allocator.buffer(capacity: capacity)
      var start: Int?
      buffer.writeWithUnsafeMutableBytes(minimumWritableBytes: capacity) { memory in
        var fields = FieldWriter(memory)
        message.write(to: &fields)
        let header = fields.count
        fields.put(UInt32(header))
        fields.put(UInt32(4 + header + (body?.readableBytes ?? 0)))
        if !fields.isFull { start = fields.start }
        return memory.count
      }
      if let start {
        buffer.moveReaderIndex(to: start)
        return buffer
      }
      capacity *= 2
    }
    throw DFSError(.invalidArgument, "a message of more than \(capacity / 2) bytes")
  }

  /// - Throws: if the header is not a protobuf message at all.
  init(header bytes: [UInt8], body: ByteBuffer) throws(DFSError) {
    if bytes.count <= Wire.largeHeaderBytes,
      let frame = bytes.withUnsafeBytes({ Frame(direct: $0, bodyBytes: body.readableBytes) })
    {
      self = frame
      return
    }
    try self.init(checked: bytes, body: body)
  }

  /// A message that is as this program writes it, and has no body; nil for others.
  init?(direct header: UnsafeRawBufferPointer, bodyBytes: Int) {
    guard bodyBytes == 0, let message = Message(reading: header) else { return nil }
    self.init(message)
  }

  /// Of any message.
  /// - Throws: if the header is not a protobuf message at all.
  init(checked bytes: [UInt8], body: ByteBuffer) throws(DFSError) {
    if bytes.count > HeaderScan.leastBytes {
      let scan = try HeaderScan(bytes)
      if let excess = scan.excess {
        self.init(.unreadable(id: scan.id, excess), body: body)
        return
      }
    }
    try self.init(scanned: bytes, body: body)
  }

  /// A large header is only counted: `decoded` makes the message of it.
  init(counting bytes: [UInt8], body: ByteBuffer) throws(DFSError) {
    let scan = try HeaderScan(bytes)
    let message =
      scan.excess.map { Message.unreadable(id: scan.id, $0) }
      ?? .large(header: bytes, weight: bytes.count + scan.bytes)
    self.init(message, body: body)
  }

  /// The frame with its message, where that is `large` so far. It may take a tenth of a second.
  public var decoded: Frame {
    guard case .large(let header, _) = message else { return self }
    do throws(DFSError) {
      return try Frame(scanned: header, body: body ?? ByteBuffer())
    } catch {
      return Frame(.unreadable(id: 0, error))
    }
  }

  /// The encoded header, to be sent as `large` from an event loop later; nil if it cannot be encoded.
  public var encodedAhead: [UInt8]? { try? encodedHeader() }

  /// - Parameter bytes: a header that a scan found within its limits.
  private init(scanned bytes: [UInt8], body: ByteBuffer) throws(DFSError) {
    // Smaller ones were tried before.
    if bytes.count > Wire.largeHeaderBytes,
      let frame = bytes.withUnsafeBytes({ Frame(direct: $0, bodyBytes: body.readableBytes) })
    {
      self = frame
      return
    }
    let header: ProtoHeader
    do {
      var options = BinaryDecodingOptions()
      options.discardUnknownFields = true
      header = try ProtoHeader(serializedBytes: bytes, options: options)
    } catch {
      throw DFSError(.protocolViolation, "a header that is not a protobuf message", cause: error)
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
    case .request(_, let request): try request.check(body: bytes)
    case .reply(_, let reply): try reply.check(body: bytes)
    case .push(let push): try push.check(body: bytes)
    case .unreadable, .large: break
    }
  }
}
