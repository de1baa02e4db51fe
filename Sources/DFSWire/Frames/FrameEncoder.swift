internal import DFSCore
public import NIOCore

/// Writes frames: the lengths and the header as one buffer, the body as it is, so that both leave
/// in one vectored write and no bulk byte is copied here.
///
/// A frame that cannot be encoded (a header over the limit) fails its write and leaves the stream
/// as it was.
public final class FrameEncoder: ChannelOutboundHandler {
  public typealias OutboundIn = Frame
  public typealias OutboundOut = ByteBuffer

  /// An encoder for one connection; it keeps nothing from frame to frame.
  public init() {}

  public func write(
    context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?
  ) {
    let frame = Self.unwrapOutboundIn(data)
    do {
      let head = try frame.encodedHead(allocator: context.channel.allocator)
      guard let body = frame.body else {
        return context.write(Self.wrapOutboundOut(head), promise: promise)
      }
      context.write(Self.wrapOutboundOut(head), promise: nil)
      context.write(Self.wrapOutboundOut(body), promise: promise)
    } catch {
      promise?.fail(error)
    }
  }
}

extension Frame {
  /// The lengths and the header; the body follows them on the wire.
  func encodedHead(allocator: ByteBufferAllocator) throws(DFSError) -> ByteBuffer {
    let bodyBytes = body?.readableBytes ?? 0
    if let bytes = message.directBytes {
      let head = try directHead(about: bytes, allocator: allocator)
      try Self.check(header: head.readableBytes - Wire.prefixBytes, body: bodyBytes)
      return head
    }
    let header = try encodedHeader()
    try Self.check(header: header.count, body: bodyBytes)
    var buffer = allocator.buffer(capacity: Wire.prefixBytes + header.count)
    buffer.writeInteger(UInt32(4 + header.count + bodyBytes))
    buffer.writeInteger(UInt32(header.count))
    buffer.writeBytes(header)
    return buffer
  }

  private static func check(header: Int, body: Int) throws(DFSError) {
    guard header <= Limits.headerBytes, body <= Limits.chunkBytes else {
      throw DFSError(
        .invalidArgument,
        "a message of \(header) bytes and a body of \(body); the limits are "
          + "\(Limits.headerBytes) and \(Limits.chunkBytes)")
    }
  }
}
