import DFSCore
import NIOCore
import NIOEmbedded
import SwiftProtobuf
import Testing

@testable import DFSWire

/// The bytes of frames as the encoder writes them, and back.
enum Stream {
  static func bytes(of frame: Frame) throws -> ByteBuffer {
    let channel = EmbeddedChannel(handler: FrameEncoder())
    try channel.writeOutbound(frame)
    var bytes = ByteBuffer()
    while var piece = try channel.readOutbound(as: ByteBuffer.self) { bytes.writeBuffer(&piece) }
    _ = try channel.finish()
    return bytes
  }

  static func frames(of bytes: ByteBuffer, isLoggedIn: Bool = true) throws -> [Frame] {
    let decoder = FrameDecoder(limit: FrameLimit(isLoggedIn: isLoggedIn))
    let channel = EmbeddedChannel(handler: ByteToMessageHandler(decoder))
    defer { _ = try? channel.finish(acceptAlreadyClosed: true) }
    try channel.writeInbound(bytes)
    var frames: [Frame] = []
    while let frame = try channel.readInbound(as: Frame.self) { frames.append(frame) }
    return frames
  }

  /// A frame around any header and body.
  static func frame(header: [UInt8], body: [UInt8] = []) -> ByteBuffer {
    var buffer = ByteBuffer(integer: UInt32(4 + header.count + body.count))
    buffer.writeInteger(UInt32(header.count))
    buffer.writeBytes(header + body)
    return buffer
  }

  static func frame(_ header: ProtoHeader, body: [UInt8] = []) throws -> ByteBuffer {
    frame(header: try header.serializedBytes(), body: body)
  }
}
