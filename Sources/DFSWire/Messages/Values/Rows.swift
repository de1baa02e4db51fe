internal import DFSCore
internal import FoundationEssentials
internal import SwiftProtobuf

/// Views, heads, rows and changes. An absent message reads as zeros, as protobuf has it.

extension View {
  static var shape: HeaderShape { HeaderShape([3: .one(.leaf)]) }

  var wire: ProtoView {
    .with {
      $0.round = round
      $0.client = client.value
      if let namespace { $0.namespace = namespace.wire }
    }
  }

  init(_ view: ProtoView) throws(DFSError) {
    self.init(
      round: try view.round.bounded("the round"), client: ClientID(view.client),
      namespace: RandomID(view.namespace))
  }

  /// The view of a request that may change something: it says of which namespace.
  init(named view: ProtoView) throws(DFSError) {
    try self.init(view)
    guard namespace != nil else { throw .violation("a view of no namespace") }
  }
}

extension RandomID {
  var wire: ProtoIdentity {
    .with {
      $0.high = high
      $0.low = low
    }
  }

  /// Nil for one that is absent.
  init?(_ id: ProtoIdentity) { self.init(high: id.high, low: id.low) }
}

extension RowDigest {
  var wire: ProtoDigest {
    .with {
      $0.high = high
      $0.low = low
    }
  }

  init(_ digest: ProtoDigest) { self.init(high: digest.high, low: digest.low) }
}

extension Head {
  static var shape: HeaderShape { HeaderShape([1: .one(View.shape), 3: .one(.leaf)]) }

  var wire: ProtoHead {
    .with {
      $0.view = view.wire
      $0.number = number
      $0.digest = digest.wire
    }
  }

  init(_ head: ProtoHead) throws(DFSError) {
    self.init(
      view: try View(head.view), number: try head.number.bounded("the number"),
      digest: RowDigest(head.digest))
  }
}

extension VersionID {
  var wire: ProtoVersionId {
    .with {
      $0.high = high
      $0.low = low
    }
  }

  init(_ id: ProtoVersionId) { self.init(high: id.high, low: id.low) }
}

extension RowKey {
  var wire: ProtoRowKey {
    .with {
      switch self {
      case .inode(let id):
        $0.table = .inode
        $0.inode = id.value
      case .entry(let parent, let name):
        $0.table = .entry
        $0.inode = parent.value
        $0.name = Data(name.bytes)
      case .attribute(let id, let name):
        $0.table = .attribute
        $0.inode = id.value
        $0.name = Data(name.bytes)
      }
    }
  }

  init(_ key: ProtoRowKey) throws(DFSError) {
    let inode = InodeID(key.inode)
    switch key.table {
    case .inode:
      guard key.name.isEmpty else { throw .violation("the key of an inode with a name") }
      self = .inode(inode)
    case .entry: self = .entry(parent: inode, name: try FileName(key.name))
    case .attribute: self = .attribute(inode, name: try AttributeName(key.name))
    case .unknown, .UNRECOGNIZED: throw .violation("a key of no known table")
    }
  }
}

extension RowValue {
  static var shape: HeaderShape { HeaderShape([3: .one(.leaf)]) }

  var wire: ProtoRowValue {
    .with {
      $0.bytes = Data(bytes)
      if let child { $0.child = child.value }
      if let content {
        $0.version = content.version.wire
        $0.copies = content.copies
      }
    }
  }

  init(_ value: ProtoRowValue) throws(DFSError) {
    guard value.bytes.count <= Wire.rowBytes else {
      throw .violation("a row of \(value.bytes.count) bytes; the limit is \(Wire.rowBytes)")
    }
    self.init(
      bytes: Array(value.bytes), child: value.hasChild ? InodeID(value.child) : nil,
      content: value.hasVersion
        ? RowContent(version: VersionID(value.version), copies: value.copies) : nil)
  }
}

extension Row {
  static var shape: HeaderShape { HeaderShape([1: .one(.leaf), 3: .one(RowValue.shape)]) }

  var wire: ProtoRow {
    .with {
      $0.key = key.wire
      $0.change = change
      $0.value = value.wire
    }
  }

  init(_ row: ProtoRow) throws(DFSError) {
    self.init(
      key: try RowKey(row.key), change: try row.change.bounded("the change"),
      value: try RowValue(row.value))
  }
}

extension Change {
  static var shape: HeaderShape {
    let write = HeaderShape([1: .one(.leaf), 2: .one(RowValue.shape)])
    return HeaderShape([3: .many(write, Limits.changeWrites, "writes")])
  }

  /// About how many bytes it takes.
  var weight: Int { writes.reduce(64) { $0 + 64 + ($1.value?.bytes.count ?? 0) } }

  var wire: ProtoChange {
    .with {
      $0.client = id.client.value
      $0.sequence = id.sequence
      $0.writes = writes.map { write in
        .with {
          $0.key = write.key.wire
          if let value = write.value { $0.value = value.wire }
        }
      }
    }
  }

  init(_ change: ProtoChange) throws(DFSError) {
    let writes = try list(change.writes, atMost: Limits.changeWrites, of: "writes") {
      write throws(DFSError) in
      RowWrite(try RowKey(write.key), write.hasValue ? try RowValue(write.value) : nil)
    }
    self.init(
      id: ChangeID(
        client: ClientID(change.client), sequence: try change.sequence.bounded("the sequence")),
      writes: writes)
  }
}

extension LogEntry {
  static var shape: HeaderShape { HeaderShape([2: .one(Change.shape), 3: .one(.leaf)]) }

  var wire: ProtoLogEntry {
    .with {
      $0.number = number
      $0.change = change.wire
      $0.digest = digest.wire
    }
  }

  init(_ entry: ProtoLogEntry) throws(DFSError) {
    self.init(
      number: try entry.number.bounded("the number"), change: try Change(entry.change),
      digest: RowDigest(entry.digest))
  }
}
