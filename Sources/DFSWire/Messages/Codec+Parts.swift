internal import DFSCore
internal import FoundationEssentials
internal import SwiftProtobuf

/// Copies: their names, pieces and the space they take.

extension PartID {
  var wire: ProtoPartId {
    .with {
      $0.version = version.wire
      $0.part = UInt32(part.value)
    }
  }

  init(_ id: ProtoPartId) throws(DFSError) {
    guard let part = PartIndex(checking: Int(id.part)) else {
      throw .violation("part \(id.part) of a version; parts are 0 to \(Limits.partCount - 1)")
    }
    self.init(version: VersionID(id.version), part: part)
  }
}

extension InlinePart {
  var wire: ProtoInlinePart {
    .with {
      $0.id = id.wire
      $0.bytes = Data(bytes)
      $0.checksum = checksum.value
    }
  }

  init(_ part: ProtoInlinePart) throws(DFSError) {
    guard part.bytes.count <= Limits.inlinePartBytes else {
      throw .violation(
        "a part of \(part.bytes.count) bytes inside a change; the bound is "
          + "\(Limits.inlinePartBytes)")
    }
    self.init(
      id: try PartID(part.id), bytes: Array(part.bytes), checksum: BlockChecksum(part.checksum))
  }
}

extension PartExtent {
  private static let blocksOfChunk = Limits.chunkBytes / Limits.blockBytes

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

  /// A range of bytes of a part whose blocks fit in one frame.
  static func range(from begin: UInt64, to end: UInt64) throws(DFSError) -> Range<UInt64> {
    let block = UInt64(Limits.blockBytes)
    guard begin <= end, end <= Limits.fileBytes,
      (end + block - 1) / block - begin / block <= blocksOfChunk
    else {
      throw .violation(
        "bytes \(begin) to \(end) of a part; their blocks must fit in \(Limits.chunkBytes) bytes")
    }
    return begin..<end
  }
}

extension SpaceReport {
  var wire: ProtoSpace {
    .with {
      $0.total = total
      $0.available = available
      $0.used = used
      $0.inodes = inodes
    }
  }

  init(_ space: ProtoSpace) throws(DFSError) {
    self.init(
      total: try space.total.bounded("the space", by: Limits.storeBytes),
      available: try space.available.bounded("the space", by: Limits.storeBytes),
      used: try space.used.bounded("the space", by: Limits.storeBytes),
      inodes: try space.inodes.bounded("the count"))
  }
}
