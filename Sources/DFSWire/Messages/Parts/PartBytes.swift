public import DFSCore
internal import FoundationEssentials
internal import SwiftProtobuf

/// A few bytes of a part, for who reads here and there.

extension Request {
  /// Exactly these bytes of a part.
  public struct GetBytes: RequestMessage {
    public typealias Answer = Reply.PartBytes

    /// Of which part.
    public let id: PartID
    /// Bytes of the part: 1 to `Wire.rangeBytes`.
    public let range: Range<UInt64>

    /// Nothing is checked here; the server checks the number of bytes.
    public init(_ id: PartID, range: Range<UInt64>) {
      self.id = id
      self.range = range
    }

    /// The blocks are read whole.
    public var weight: Int { range.count + 2 * Limits.blockBytes }
  }
}

extension Reply {
  /// The bytes that were asked for, of blocks whose checksums are right; fewer where the part ends.
  public struct PartBytes: ReplyMessage {
    /// At most `Wire.rangeBytes`.
    public let bytes: [UInt8]
    /// Of `bytes`.
    public let checksum: BlockChecksum

    /// Bytes with their checksum.
    public init(_ bytes: [UInt8]) { self.init(bytes, .of(bytes)) }

    init(_ bytes: [UInt8], _ checksum: BlockChecksum) {
      self.bytes = bytes
      self.checksum = checksum
    }
  }
}

extension Request.GetBytes: WireMessage {
  static var shape: HeaderShape { HeaderShape([1: .one(PartID.shape)]) }

  var wire: ProtoPartRange {
    .with {
      $0.id = id.wire
      $0.offset = range.lowerBound
      $0.count = UInt32(range.count)
    }
  }

  init(_ get: ProtoPartRange) throws(DFSError) {
    guard let range = Self.range(get.offset, UInt64(get.count)) else {
      throw .violation(
        "\(get.count) bytes at \(get.offset) of a part; 1 to \(Wire.rangeBytes) are given at once")
    }
    self.init(try PartID(get.id), range: range)
  }

  /// Nil if so many bytes cannot be there, or are not given at once.
  static func range(_ offset: UInt64, _ count: UInt64) -> Range<UInt64>? {
    guard 1...UInt64(Wire.rangeBytes) ~= count, offset <= Limits.fileBytes - count else {
      return nil
    }
    return offset..<offset + count
  }
}

extension Reply.PartBytes: WireMessage {
  var wire: ProtoPartBytes {
    .with {
      $0.bytes = Data(bytes)
      $0.checksum = checksum.value
    }
  }

  init(_ part: ProtoPartBytes) throws(DFSError) {
    guard part.bytes.count <= Wire.rangeBytes else {
      throw .violation("\(part.bytes.count) bytes of a part; the limit is \(Wire.rangeBytes)")
    }
    self.init(Array(part.bytes), BlockChecksum(part.checksum))
  }
}
