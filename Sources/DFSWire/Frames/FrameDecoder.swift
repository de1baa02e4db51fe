internal import DFSCore
public import NIOCore

/// Cuts a stream of bytes into frames (docs/FORMATS.md, "Frames"). Both lengths are compared with
/// their limits as soon as they are here, before memory is taken for what they announce.
///
/// A frame that breaks a limit throws, and nothing after it can be read. A whole frame with an
/// unknown or wrong message is delivered as `.unreadable`.
public struct FrameDecoder: ByteToMessageDecoder {
  public typealias InboundOut = Frame

  private let limit: FrameLimit
  private let isShared: Bool
  private var isAnnounced = false

  /// - Parameter isShared: whether others share the event loop and the memory: then a large header
  ///   comes out as `Message.large`, and an `UnfinishedFrame` tells of a large frame as soon as it begins.
  public init(limit: FrameLimit, isShared: Bool = false) {
    self.limit = limit
    self.isShared = isShared
  }

  public mutating func decode(context: ChannelHandlerContext, buffer: inout ByteBuffer) throws
    -> DecodingState
  {
    guard let frame = try next(from: &buffer) else {
      announce(buffer, context)
      return .needMoreData
    }
    isAnnounced = false
    context.fireChannelRead(Self.wrapInboundOut(frame))
    return .continue
  }

  public mutating func decodeLast(
    context: ChannelHandlerContext, buffer: inout ByteBuffer, seenEOF: Bool
  ) throws -> DecodingState {
    try decode(context: context, buffer: &buffer)
  }

  private mutating func announce(_ buffer: ByteBuffer, _ context: ChannelHandlerContext) {
    guard isShared, !isAnnounced,
      let length = buffer.getInteger(at: buffer.readerIndex, as: UInt32.self),
      length > UnfinishedFrame.leastBytes
    else { return }
    isAnnounced = true
    context.fireUserInboundEventTriggered(UnfinishedFrame(bytes: 4 + Int(length)))
  }

  /// Takes the next whole frame off the front of `buffer`; nil if it is not all here.
  func next(from buffer: inout ByteBuffer) throws(DFSError) -> Frame? {
    let start = buffer.readerIndex
    guard let frameLength = buffer.getInteger(at: start, as: UInt32.self) else { return nil }
    try check(frame: frameLength)
    guard let headerLength = buffer.getInteger(at: start + 4, as: UInt32.self) else { return nil }
    let body = try check(header: headerLength, in: frameLength)
    guard buffer.readableBytes >= 4 + Int(frameLength) else {
      // Room for all of it at once, now that its length is known to be within the limit.
      buffer.reserveCapacity(minimumWritableBytes: 4 + Int(frameLength) - buffer.readableBytes)
      return nil
    }
    buffer.moveReaderIndex(forwardBy: Wire.prefixBytes)
    if body == 0, let frame = direct(from: &buffer, Int(headerLength)) { return frame }
    guard let header = buffer.readBytes(length: Int(headerLength)),
      let body = buffer.readSlice(length: body)
    else { return nil }
    let isLarge = isShared && header.count > Wire.largeHeaderBytes
    return isLarge
      ? try Frame(counting: header, body: body) : try Frame(checked: header, body: body)
  }

  /// A small message that is as this program writes it, of which no byte is copied before it is read.
  private func direct(from buffer: inout ByteBuffer, _ length: Int) -> Frame? {
    guard length <= Wire.largeHeaderBytes else { return nil }
    let frame = buffer.withUnsafeReadableBytes { bytes in
      Frame(direct: UnsafeRawBufferPointer(rebasing: bytes[..<length]), bodyBytes: 0)
    }
    if frame != nil { buffer.moveReaderIndex(forwardBy: length) }
    return frame
  }

  private func check(frame length: UInt32) throws(DFSError) {
    guard length >= 4 else {
      throw DFSError(.protocolViolation, "a frame of \(length) bytes; the least is 4")
    }
    guard length <= limit.frameBytes else {
      throw DFSError(
        .protocolViolation,
        "a frame of \(length) bytes; the limit \(limit.isLoggedIn ? "" : "before login ")is "
          + "\(limit.frameBytes)")
    }
  }

  /// The length of the body.
  private func check(header length: UInt32, in frame: UInt32) throws(DFSError) -> Int {
    guard length <= frame - 4, length <= Limits.headerBytes else {
      throw DFSError(
        .protocolViolation,
        "a header of \(length) bytes in a frame of \(frame); the limit is \(Limits.headerBytes)")
    }
    let body = Int(frame - 4 - length)
    guard body <= Limits.chunkBytes else {
      throw DFSError(
        .protocolViolation, "a body of \(body) bytes; the limit is \(Limits.chunkBytes)")
    }
    return body
  }
}

/// An event of the pipeline: a large frame has begun to come, and is not whole yet.
public struct UnfinishedFrame: Sendable {
  /// Smaller ones are not told of.
  static let leastBytes = 32 << 10

  /// Of the whole frame.
  public let bytes: Int
}
