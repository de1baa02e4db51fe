internal import DFSCore

/// Names of copies and small copies, written and read directly (`DirectMessage`); `Values/Parts.swift` maps the
/// same to protobuf.

extension PartID: DirectMessage {
  func write(to fields: inout FieldWriter) {
    fields.varint(2, UInt64(part.value))
    fields.message(1, version)
  }

  init?(reading fields: FieldReader) {
    var fields = fields
    var version: VersionID?
    var part: UInt64 = 0
    while let tag = fields.next() {
      switch tag {
      case .message(1): fields.read(&version)
      case .varint(2): part = fields.varint()
      default: return nil
      }
    }
    guard fields.isSound, let version, part < UInt64(Limits.partCount) else { return nil }
    self.init(version: version, part: PartIndex(Int(part)))
  }
}

extension InlinePart: DirectMessage {
  /// About how many bytes it has, or a little more.
  var directBytes: Int { 64 + bytes.count }

  func write(to fields: inout FieldWriter) {
    fields.fixed64(3, checksum.value)
    fields.bytes(2, bytes)
    fields.message(1, id)
  }

  init?(reading fields: FieldReader) {
    var fields = fields
    var id: PartID?
    var bytes: [UInt8] = []
    var checksum: UInt64 = 0
    while let tag = fields.next() {
      switch tag {
      case .message(1): fields.read(&id)
      case .message(2): bytes = fields.byteArray()
      case .fixed64(3): checksum = fields.fixed64()
      default: return nil
      }
    }
    guard fields.isSound, bytes.count <= Limits.inlinePartBytes, let id else { return nil }
    self.init(id: id, bytes: bytes, checksum: BlockChecksum(checksum))
  }
}

extension Request.GetSmallParts: DirectMessage {
  func write(to fields: inout FieldWriter) { fields.messages(1, parts) }

  init?(reading fields: FieldReader) {
    guard let parts: [PartID] = fields.list(atMost: Limits.partCount) else { return nil }
    self.init(parts)
  }
}

extension Reply.SmallParts: DirectMessage {
  /// About how many bytes it has, or a little more.
  var directBytes: Int { parts.reduce(128) { $0 + $1.directBytes } }

  func write(to fields: inout FieldWriter) {
    if let head { fields.message(2, head) }
    fields.messages(1, parts)
  }

  init?(reading fields: FieldReader) {
    var fields = fields
    var parts: [InlinePart] = []
    var head: Head?
    while let tag = fields.next() {
      switch tag {
      case .message(1): fields.read(&parts, atMost: Limits.partCount)
      case .message(2): fields.read(&head)
      default: return nil
      }
    }
    guard fields.isSound else { return nil }
    self.init(parts, head: head)
  }
}

extension Request.GetBytes: DirectMessage {
  func write(to fields: inout FieldWriter) {
    fields.varint(3, UInt64(range.count))
    fields.varint(2, range.lowerBound)
    fields.message(1, id)
  }

  init?(reading fields: FieldReader) {
    var fields = fields
    var id: PartID?
    var (offset, count): (UInt64, UInt64) = (0, 0)
    while let tag = fields.next() {
      switch tag {
      case .message(1): fields.read(&id)
      case .varint(2): offset = fields.varint()
      case .varint(3): count = fields.varint()
      default: return nil
      }
    }
    guard fields.isSound, let id, let range = Self.range(offset, count) else { return nil }
    self.init(id, range: range)
  }
}

extension Reply.PartBytes: DirectMessage {
  func write(to fields: inout FieldWriter) {
    fields.fixed64(2, checksum.value)
    fields.bytes(1, bytes)
  }

  init?(reading fields: FieldReader) {
    var fields = fields
    var bytes: [UInt8] = []
    var checksum: UInt64 = 0
    while let tag = fields.next() {
      switch tag {
      case .message(1): bytes = fields.byteArray()
      case .fixed64(2): checksum = fields.fixed64()
      default: return nil
      }
    }
    guard fields.isSound, bytes.count <= Wire.rangeBytes else { return nil }
    self.init(bytes, BlockChecksum(checksum))
  }
}

extension FieldReader {
  /// What a message holds that has nothing but a list, in field 1.
  func list<Value: DirectMessage>(atMost limit: Int) -> [Value]? {
    var fields = self
    var list: [Value] = []
    while let tag = fields.next() {
      guard tag == .message(1) else { return nil }
      fields.read(&list, atMost: limit)
    }
    return fields.isSound ? list : nil
  }
}
