internal import DFSCore

/// Views, heads, rows and changes, written and read directly (`DirectMessage`); `Values/Rows.swift` maps the
/// same to protobuf.

extension View: DirectMessage {
  func write(to fields: inout FieldWriter) {
    if let namespace { fields.message(3, namespace) }
    fields.fixed64(2, client.value)
    fields.varint(1, round)
  }

  init?(reading fields: FieldReader) {
    var fields = fields
    var round: UInt64 = 0
    var client: UInt64 = 0
    var namespace: NamespaceID?
    while let tag = fields.next() {
      switch tag {
      case .varint(1): round = fields.varint()
      case .fixed64(2): client = fields.fixed64()
      case .message(3): fields.read(&namespace)
      default: return nil
      }
    }
    guard fields.isSound, round <= Limits.number else { return nil }
    self.init(round: round, client: ClientID(client), namespace: namespace)
  }
}

extension RandomID: DirectMessage {
  func write(to fields: inout FieldWriter) { fields.pair(high, low) }

  /// Zero is none.
  init?(reading fields: FieldReader) {
    guard let (high, low) = fields.pair else { return nil }
    self.init(high: high, low: low)
  }
}

extension DirectMessage where Self: Bits128 {
  func write(to fields: inout FieldWriter) { fields.pair(high, low) }

  init?(reading fields: FieldReader) {
    guard let (high, low) = fields.pair else { return nil }
    self.init(high: high, low: low)
  }
}

extension RowDigest: DirectMessage {}
extension VersionID: DirectMessage {}

extension FieldWriter {
  /// The two halves of 128 bits, as all messages of these have them.
  fileprivate mutating func pair(_ high: UInt64, _ low: UInt64) {
    fixed64(2, low)
    fixed64(1, high)
  }
}

extension FieldReader {
  /// The two halves of 128 bits.
  fileprivate var pair: (high: UInt64, low: UInt64)? {
    var fields = self
    var pair: (high: UInt64, low: UInt64) = (0, 0)
    while let tag = fields.next() {
      switch tag {
      case .fixed64(1): pair.high = fields.fixed64()
      case .fixed64(2): pair.low = fields.fixed64()
      default: return nil
      }
    }
    return fields.isSound ? pair : nil
  }
}

extension Head: DirectMessage {
  func write(to fields: inout FieldWriter) {
    fields.message(3, digest)
    fields.varint(2, number)
    fields.message(1, view)
  }

  init?(reading fields: FieldReader) {
    var fields = fields
    var view: View?
    var number: UInt64 = 0
    var digest: RowDigest?
    while let tag = fields.next() {
      switch tag {
      case .message(1): fields.read(&view)
      case .varint(2): number = fields.varint()
      case .message(3): fields.read(&digest)
      default: return nil
      }
    }
    guard fields.isSound, number <= Limits.number, let view, let digest else { return nil }
    self.init(view: view, number: number, digest: digest)
  }
}

extension RowKey: DirectMessage {
  /// About how many bytes it has, or a little more.
  var directBytes: Int { 32 + name.count }

  func write(to fields: inout FieldWriter) {
    switch self {
    case .inode(let id):
      fields.fixed64(2, id.value)
      fields.varint(1, 1)
    case .entry(let parent, let name):
      fields.bytes(3, name.bytes)
      fields.fixed64(2, parent.value)
      fields.varint(1, 2)
    case .attribute(let id, let name):
      fields.bytes(3, name.bytes)
      fields.fixed64(2, id.value)
      fields.varint(1, 3)
    }
  }

  init?(reading fields: FieldReader) {
    var fields = fields
    var table: UInt64 = 0
    var inode: UInt64 = 0
    var name: [UInt8] = []
    while let tag = fields.next() {
      switch tag {
      case .varint(1): table = fields.varint()
      case .fixed64(2): inode = fields.fixed64()
      case .message(3): name = fields.byteArray()
      default: return nil
      }
    }
    guard fields.isSound else { return nil }
    switch table {
    case 1 where name.isEmpty: self = .inode(InodeID(inode))
    case 2:
      guard let name = try? FileName(name) else { return nil }
      self = .entry(parent: InodeID(inode), name: name)
    case 3:
      guard let name = try? AttributeName(name) else { return nil }
      self = .attribute(InodeID(inode), name: name)
    default: return nil
    }
  }
}

extension RowValue: DirectMessage {
  func write(to fields: inout FieldWriter) {
    if let content {
      fields.fixed32(4, content.copies)
      fields.message(3, content.version)
    }
    if let child { fields.presentFixed64(2, child.value) }
    fields.bytes(1, bytes)
  }

  init?(reading fields: FieldReader) {
    var fields = fields
    var bytes: [UInt8] = []
    var child: InodeID?
    var version: VersionID?
    var copies: UInt32 = 0
    while let tag = fields.next() {
      switch tag {
      case .message(1): bytes = fields.byteArray()
      case .fixed64(2): child = InodeID(fields.fixed64())
      case .message(3): fields.read(&version)
      case .fixed32(4): copies = fields.fixed32()
      default: return nil
      }
    }
    guard fields.isSound, bytes.count <= Wire.rowBytes else { return nil }
    self.init(
      bytes: bytes, child: child, content: version.map { RowContent(version: $0, copies: copies) })
  }
}

extension Row: DirectMessage {
  /// About how many bytes it has, or a little more.
  var directBytes: Int { 80 + key.directBytes + value.bytes.count }

  func write(to fields: inout FieldWriter) {
    fields.message(3, value)
    fields.varint(2, change)
    fields.message(1, key)
  }

  init?(reading fields: FieldReader) {
    var fields = fields
    var key: RowKey?
    var change: UInt64 = 0
    var value: RowValue?
    while let tag = fields.next() {
      switch tag {
      case .message(1): fields.read(&key)
      case .varint(2): change = fields.varint()
      case .message(3): fields.read(&value)
      default: return nil
      }
    }
    guard fields.isSound, change <= Limits.number, let key, let value else { return nil }
    self.init(key: key, change: change, value: value)
  }
}

extension RowWrite: DirectMessage {
  func write(to fields: inout FieldWriter) {
    if let value { fields.message(2, value) }
    fields.message(1, key)
  }

  init?(reading fields: FieldReader) {
    var fields = fields
    var key: RowKey?
    var value: RowValue?
    while let tag = fields.next() {
      switch tag {
      case .message(1): fields.read(&key)
      case .message(2): fields.read(&value)
      default: return nil
      }
    }
    guard fields.isSound, let key else { return nil }
    self.init(key, value)
  }
}

extension Change: DirectMessage {
  /// About how many bytes it has, or a little more.
  var directBytes: Int {
    writes.reduce(48) { $0 + 64 + $1.key.directBytes + ($1.value?.bytes.count ?? 0) }
  }

  func write(to fields: inout FieldWriter) {
    fields.messages(3, writes)
    fields.varint(2, id.sequence)
    fields.fixed64(1, id.client.value)
  }

  init?(reading fields: FieldReader) {
    var fields = fields
    var client: UInt64 = 0
    var sequence: UInt64 = 0
    var writes: [RowWrite] = []
    while let tag = fields.next() {
      switch tag {
      case .fixed64(1): client = fields.fixed64()
      case .varint(2): sequence = fields.varint()
      case .message(3): fields.read(&writes, atMost: Limits.changeWrites)
      default: return nil
      }
    }
    guard fields.isSound, sequence <= Limits.number else { return nil }
    self.init(id: ChangeID(client: ClientID(client), sequence: sequence), writes: writes)
  }
}

extension LogEntry: DirectMessage {
  func write(to fields: inout FieldWriter) {
    fields.message(3, digest)
    fields.message(2, change)
    fields.varint(1, number)
  }

  init?(reading fields: FieldReader) {
    var fields = fields
    var number: UInt64 = 0
    var change: Change?
    var digest: RowDigest?
    while let tag = fields.next() {
      switch tag {
      case .varint(1): number = fields.varint()
      case .message(2): fields.read(&change)
      case .message(3): fields.read(&digest)
      default: return nil
      }
    }
    guard fields.isSound, number <= Limits.number, let change, let digest else { return nil }
    self.init(number: number, change: change, digest: digest)
  }
}
