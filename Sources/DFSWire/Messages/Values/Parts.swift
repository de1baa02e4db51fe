internal import DFSCore
internal import FoundationEssentials
internal import SwiftProtobuf

/// Names of copies, and small copies.

extension PartID {
  static var shape: HeaderShape { HeaderShape([1: .one(.leaf)]) }

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
  static var shape: HeaderShape { HeaderShape([1: .one(PartID.shape)]) }

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
        "a part of \(part.bytes.count) bytes inside a change; the limit is "
          + "\(Limits.inlinePartBytes)")
    }
    self.init(
      id: try PartID(part.id), bytes: Array(part.bytes), checksum: BlockChecksum(part.checksum))
  }
}

extension HeaderShape {
  /// Of a list of parts.
  static var parts: HeaderShape { HeaderShape([1: .many(PartID.shape, Wire.listItems, "parts")]) }
  /// Of a list of versions.
  static var versions: HeaderShape { HeaderShape([1: .many(.leaf, Wire.listItems, "versions")]) }
}
