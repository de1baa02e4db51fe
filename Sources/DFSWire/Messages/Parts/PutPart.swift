public import DFSCore
internal import SwiftProtobuf

/// Pieces of copies on their way to a server.

extension Request {
  /// A piece of a copy, with its bytes in the frame's body; pieces come in order from offset 0, the one that
  /// reaches `length` completes the copy.
  public struct PutPart: RequestMessage {
    public typealias Answer = Reply.Done

    /// Which piece it is.
    public let extent: PartExtent
    /// Whether the copy is on stable storage before the last answer.
    public let durable: Bool

    /// The piece that `extent` describes.
    public init(_ extent: PartExtent, durable: Bool) {
      self.extent = extent
      self.durable = durable
    }

    public var order: RequestOrder? { .part(extent.id) }
  }
}

extension Request.PutPart: WireMessage {
  static var shape: HeaderShape { HeaderShape([1: .one(PartExtent.shape)]) }

  var wire: ProtoPutPart {
    .with {
      $0.extent = extent.wire
      $0.durable = durable
    }
  }

  init(_ put: ProtoPutPart) throws(DFSError) {
    self.init(try PartExtent(put.extent), durable: put.durable)
  }

  func check(body bytes: Int) throws(DFSError) { try extent.check(body: bytes) }
}

extension PartExtent: WireMessage {
  static let blocksOfChunk = Limits.chunkBytes / Limits.blockBytes
  static var shape: HeaderShape { HeaderShape([1: .one(PartID.shape)]) }

  var wire: ProtoPartExtent {
    .with {
      $0.id = id.wire
      $0.length = length
      $0.offset = offset
      $0.checksums = checksums.map(\.value)
    }
  }

  init(_ extent: ProtoPartExtent) throws(DFSError) {
    guard extent.length <= Limits.fileBytes, extent.offset <= extent.length,
      extent.offset.isMultiple(of: UInt64(Limits.blockBytes))
    else {
      throw .violation(
        "a piece at \(extent.offset) of a part of \(extent.length) bytes; pieces begin at "
          + "multiples of \(Limits.blockBytes) within the part")
    }
    let checksums = try list(extent.checksums, atMost: Self.blocksOfChunk, of: "checksums") {
      BlockChecksum($0)
    }
    self.init(
      id: try PartID(extent.id), length: extent.length, offset: extent.offset,
      checksums: checksums)
  }

  /// Whether a body of `bytes` is this piece: whole blocks (the part's last may be short), one
  /// checksum each.
  func check(body bytes: Int) throws(DFSError) {
    let isWhole = bytes.isMultiple(of: Limits.blockBytes)
    let blocks = (bytes + Limits.blockBytes - 1) / Limits.blockBytes
    let rest = length - offset
    guard blocks == checksums.count, bytes <= rest, isWhole || bytes == rest else {
      throw .violation(
        "a piece of \(bytes) bytes with \(checksums.count) checksums at \(offset) of a part of "
          + "\(length) bytes; pieces are whole blocks of \(Limits.blockBytes)")
    }
  }
}
