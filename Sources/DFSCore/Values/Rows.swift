/// A namespace as the servers keep it: rows under keys, written by changes.
///
/// Rows are opaque to the servers but for two columns: the child of an entry (so that a directory
/// can be answered with its inodes) and the content of an inode (so that a server knows which copies
/// are asked of it, which it lacks and which nobody needs any more).

/// What a row is found by. Each of the three kinds has a table of its own on the servers.
public enum RowKey: Hashable, Sendable {
  case inode(InodeID)
  case entry(parent: InodeID, name: FileName)
  case attribute(InodeID, name: AttributeName)
}

/// The order in which servers tell all rows: inodes, entries, attributes; by number, then by the bytes of names.
extension RowKey: Comparable {
  public static func < (left: RowKey, right: RowKey) -> Bool {
    switch (left, right) {
    case (.inode(let one), .inode(let other)): one < other
    case (.entry(let one, let name), .entry(let other, let next)):
      one == other ? name < next : one < other
    case (.attribute(let one, let name), .attribute(let other, let next)):
      one == other ? name < next : one < other
    default: left.kind < right.kind
    }
  }

  private var kind: Int {
    switch self {
    case .inode: 0
    case .entry: 1
    case .attribute: 2
    }
  }
}

extension RowKey {
  /// Of an entry or an attribute; empty for an inode.
  public var name: [UInt8] {
    switch self {
    case .inode: []
    case .entry(_, let name): name.bytes
    case .attribute(_, let name): name.bytes
    }
  }

  /// As digests and the log have it (docs/FORMATS.md): the kind, the inode, and the name after its length.
  /// At most 10 bytes and the name.
  public func write(to writer: inout ByteWriter) {
    switch self {
    case .inode(let id):
      writer.put(1 as UInt8)
      writer.put(id.value)
    case .entry(let parent, let name): write(2, parent, name.bytes, to: &writer)
    case .attribute(let id, let name): write(3, id, name.bytes, to: &writer)
    }
  }

  private func write(
    _ kind: UInt8, _ id: InodeID, _ name: [UInt8], to writer: inout ByteWriter
  ) {
    writer.put(kind)
    writer.put(id.value)
    writer.put(UInt8(name.count))
    writer.put(name)
  }
}

/// A row: its key, the number of the change that wrote it, and its value.
public struct Row: Hashable, Sendable {
  /// What the row is found by; no other row of the namespace has it.
  public let key: RowKey
  /// The number of the change that wrote the row.
  public let change: UInt64
  /// What the change wrote.
  public let value: RowValue

  /// A row as change `change` left it.
  public init(key: RowKey, change: UInt64, value: RowValue) {
    self.key = key
    self.change = change
    self.value = value
  }

  /// What the digest is taken over; see docs/FORMATS.md.
  func withDigestBytes<Value>(_ body: (UnsafeRawBufferPointer) -> Value) -> Value {
    let capacity = key.name.count + value.bytes.count + 64
    return withUnsafeTemporaryAllocation(byteCount: capacity, alignment: 8) { memory in
      var writer = ByteWriter(memory)
      key.write(to: &writer)
      writer.put(change)
      // Says which of the two follow, so that no two rows have the same bytes.
      writer.put(UInt8((value.child == nil ? 0 : 1) | (value.content == nil ? 0 : 2)))
      if let child = value.child { writer.put(child.value) }
      if let content = value.content { content.write(to: &writer) }
      writer.put(value.bytes)
      return body(writer.written)
    }
  }
}

/// What a row holds.
public struct RowValue: Hashable, Sendable {
  /// An inode as docs/FORMATS.md says ("Inode rows"), or an attribute's value; empty for an entry.
  public let bytes: [UInt8]
  /// The inode that an entry names; nil for other rows.
  public let child: InodeID?
  /// What a server must know of the content of an inode; nil for other rows.
  public let content: RowContent?

  /// The version that an inode's row names.
  public var version: VersionID? { content?.version }

  /// The value of a row: of an entry with its `child`, of an inode with its `content` if it has
  /// one.
  public init(bytes: [UInt8], child: InodeID? = nil, content: RowContent? = nil) {
    self.bytes = bytes
    self.child = child
    self.content = content
  }
}

/// A version, and where its copies belong.
public struct RowContent: Hashable, Sendable {
  /// The version whose copies are placed.
  public let version: VersionID
  /// The holders now.
  public let placement: Placement
  /// The holders by the mission's rule: others than `placement` while servers substitute for one that
  /// was away when the version was published.
  public let home: Placement

  /// Copies that are at `placement` and belong at `home`.
  public init(version: VersionID, placement: Placement, home: Placement) {
    self.version = version
    self.placement = placement
    self.home = home
  }

  /// Both placements in 32 bits: `home` in the high half, each as `Placement.packed`.
  public var copies: UInt32 { UInt32(home.packed) << 16 | UInt32(placement.packed) }

  /// - Parameter copies: both placements, as the property of that name gives them.
  public init(version: VersionID, copies: UInt32) {
    self.init(
      version: version, placement: Placement(packed: UInt16(truncatingIfNeeded: copies)),
      home: Placement(packed: UInt16(copies >> 16)))
  }

  /// 20 bytes: the version, and `copies` as a big-endian number.
  public func write(to writer: inout ByteWriter) {
    writer.put(version.high)
    writer.put(version.low)
    writer.put(copies)
  }
}

/// One write of a change: the row's new value, or nil to delete it.
public struct RowWrite: Hashable, Sendable {
  /// The row that is written or deleted.
  public let key: RowKey
  /// Nil deletes the row; that there is none is no error.
  public let value: RowValue?

  /// The write of one row; without a value, its deletion.
  public init(_ key: RowKey, _ value: RowValue?) {
    self.key = key
    self.value = value
  }
}

/// The identity of a change: who made it, and the how-manieth of its changes it is.
public struct ChangeID: Hashable, Sendable {
  /// Who made the change.
  public let client: ClientID
  /// From 1; one more with each change of this client.
  public let sequence: UInt64

  /// The change of `client` with this number of its own.
  public init(client: ClientID, sequence: UInt64) {
    self.client = client
    self.sequence = sequence
  }
}

/// One atomic step of a namespace.
public struct Change: Hashable, Sendable {
  /// Tells a server whether a change that comes again is the same one.
  public let id: ChangeID
  /// At most `Limits.changeWrites`, performed together in this order.
  public let writes: [RowWrite]

  /// Nothing is checked here; servers refuse a change of too many writes.
  public init(id: ChangeID, writes: [RowWrite]) {
    self.id = id
    self.writes = writes
  }
}

/// A period in which one client may append changes to one namespace. Ordered by round, then client.
///
/// As every head has a view and every step that may change rows names one, servers and clients notice by
/// it that they are of different namespaces.
public struct View: Hashable, Sendable, Comparable, CustomStringConvertible {
  /// From 1 on; 0 is the round of no view.
  public let round: UInt64
  /// Who may append changes in it.
  public let client: ClientID
  /// Nil on a blank server, and in what releases before 1.1 wrote.
  public let namespace: NamespaceID?

  /// A view of `namespace`, nil where that has no identity.
  public init(round: UInt64, client: ClientID, namespace: NamespaceID? = nil) {
    self.round = round
    self.client = client
    self.namespace = namespace
  }

  /// No view: what a blank server has.
  public static let none = View(round: 0, client: ClientID(0))

  public static func < (left: Self, right: Self) -> Bool {
    (left.round, left.client, left.namespace?.high ?? 0, left.namespace?.low ?? 0)
      < (right.round, right.client, right.namespace?.high ?? 0, right.namespace?.low ?? 0)
  }

  public var description: String { "\(round)/\(client)" }
}

/// The last change that a server has applied, and the digest of all its rows after it.
public struct Head: Hashable, Sendable, CustomStringConvertible {
  /// The view that was installed last.
  public var view: View
  /// The number of the last change; 0 if there was none.
  public var number: UInt64
  /// The digest of all rows after that change.
  public var digest: RowDigest

  /// The state after change `number`, as a server in `view` has it.
  public init(view: View, number: UInt64, digest: RowDigest) {
    self.view = view
    self.number = number
    self.digest = digest
  }

  /// The head of a server without rows that is in no view.
  public static let blank = Head(view: .none, number: 0, digest: .empty)

  /// Whether two servers have the same rows, whatever view they were told last.
  public func hasSameRows(as other: Head) -> Bool {
    number == other.number && digest == other.digest
  }

  public var description: String { "(\(view), \(number))" }
}

/// A change in a server's log, with the digest of the rows after it.
public struct LogEntry: Hashable, Sendable {
  /// The change's place in the order of changes.
  public let number: UInt64
  /// The change itself, with its identity.
  public let change: Change
  /// The digest of all rows after the change.
  public let digest: RowDigest

  /// Change `number`, after which the rows have this digest.
  public init(number: UInt64, change: Change, digest: RowDigest) {
    self.number = number
    self.change = change
    self.digest = digest
  }
}
