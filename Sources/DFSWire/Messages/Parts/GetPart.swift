public import DFSCore
internal import SwiftProtobuf

/// Pieces of copies on their way to a client.

extension Request {
  /// The blocks that cover a range of a part.
  public struct GetPart: RequestMessage {
    public typealias Answer = Reply.Part

    /// Of which part.
    public let id: PartID
    /// Bytes of the part.
    public let range: Range<UInt64>

    /// The blocks must fit in a body.
    public init(_ id: PartID, range: Range<UInt64>) {
      self.id = id
      self.range = range
    }

    public var weight: Int { range.count + 2 * Limits.blockBytes }
    public var answerBodyBytes: Int { range.count + Limits.blockBytes }
  }
}

extension Reply {
  /// The bytes are in the frame's body: whole blocks, from `offset`.
  public typealias Part = PartExtent
}

extension Request.GetPart: WireMessage {
  static var shape: HeaderShape { HeaderShape([1: .one(PartID.shape)]) }

  var wire: ProtoGetPart {
    .with {
      $0.id = id.wire
      $0.begin = range.lowerBound
      $0.end = range.upperBound
    }
  }

  init(_ get: ProtoGetPart) throws(DFSError) {
    let range = try Self.range(from: get.begin, to: get.end)
    self.init(try PartID(get.id), range: range)
  }

  /// A range of bytes of a part whose blocks fit in one frame.
  private static func range(from begin: UInt64, to end: UInt64) throws(DFSError) -> Range<UInt64> {
    let block = UInt64(Limits.blockBytes)
    guard begin <= end, end <= Limits.fileBytes,
      (end + block - 1) / block - begin / block <= PartExtent.blocksOfChunk
    else {
      throw .violation(
        "bytes \(begin) to \(end) of a part; their blocks must fit in \(Limits.chunkBytes) bytes")
    }
    return begin..<end
  }
}

extension PartExtent: ReplyMessage {}
