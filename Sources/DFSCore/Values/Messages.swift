/// What a client asks of one server about one namespace, and what the server answers: values,
/// carried by DFSWire, decided by DFSReplication, performed by DFSStore.

/// A step of the namespace protocol.
public enum NamespaceRequest: Hashable, Sendable {
  /// Promise to accept nothing of an earlier view.
  case prepare(View)
  /// Bring your rows from `from` to `to` by `changes` (numbers from.number + 1 …, none if your
  /// rows are already those), and let `view` append after that. One atomic step.
  case install(View, from: Head, changes: [Change], to: Head)
  /// Append `change` as number `number` of `view`.
  case apply(View, number: UInt64, Change)
  /// Your log after number `after`.
  case log(after: UInt64)
  /// Your head.
  case head

  /// The view that a step which may change something names.
  public var view: View? {
    switch self {
    case .prepare(let view), .install(let view, _, _, _), .apply(let view, _, _): view
    case .log, .head: nil
    }
  }
}

/// What a server answers to a `NamespaceRequest`.
public enum NamespaceReply: Hashable, Sendable {
  /// To prepare: promised; this is my head.
  case promised(Head)
  /// To install: my head, which is now of that view.
  case installed(Head)
  /// To apply: my head after that change (the same answer when the change comes again).
  case applied(Head)
  /// To apply and install: I lack what comes before; this is my head.
  case behind(Head)
  /// To prepare, install and apply: I promised a later view, this one.
  case refused(View)
  /// To apply: my copies of the new version's parts are not all here.
  case missingParts([PartID])
  /// To log: the changes after `after`, as many as fit, the digest of my rows at `after`, and my
  /// head. `base` is nil where my log does not reach back that far.
  case log(base: RowDigest?, entries: [LogEntry], head: Head)
  /// To head: this is mine.
  case head(Head)
  /// To prepare, install and apply: my rows are of another namespace; this is my head.
  case foreign(Head)
}

/// A question about rows. Any number of them are answered together, from one state of the rows.
public enum Query: Hashable, Sendable {
  /// The row of an inode.
  case inode(InodeID)
  /// The entry and its inode's row.
  case entry(parent: InodeID, name: FileName)
  /// A directory's entries after `after` in byte order, each followed by its inode's row; as many
  /// as fit.
  case directory(InodeID, after: FileName?)
  /// The extended attributes of an inode.
  case attributes(InodeID)
  /// Every row after `after` in the order of keys (inodes, entries, attributes), as many as fit:
  /// a page of a transfer.
  case everything(after: RowKey?)
  /// The inodes after `after` of whose content some copies are not where the rule puts them, as
  /// many as fit.
  case substitutes(after: InodeID?)
}

/// What a server answers to a `Query`.
public struct QueryAnswer: Hashable, Sendable {
  /// As the query orders them; none if there is nothing.
  public let rows: [Row]
  /// There are more than fit; ask again after the last row's key.
  public let isPartial: Bool

  /// The rows that fit, and whether more follow them.
  public init(rows: [Row], isPartial: Bool) {
    self.rows = rows
    self.isPartial = isPartial
  }
}

/// What a transfer begins with: the rows that the server has itself at `head`, but for those that only
/// it has.
public struct OwnRows: Hashable, Sendable {
  /// Where the server must be; elsewhere the transfer does not begin so.
  public let head: Head
  /// The keys of rows that only this server has.
  public let without: [RowKey]

  /// The rows at `head` but those under `without`.
  public init(head: Head, without: [RowKey]) {
    self.head = head
    self.without = without
  }
}

/// A copy of a small part, as it travels inside a change and is kept in the database.
public struct InlinePart: Hashable, Sendable {
  /// The part that it is a copy of.
  public let id: PartID
  /// All bytes of the part: at most `Limits.inlinePartBytes`.
  public let bytes: [UInt8]
  /// Of `bytes`; verified by the server before it accepts.
  public let checksum: BlockChecksum

  /// Nothing is checked here; the server compares `bytes` with `checksum` and the limit.
  public init(id: PartID, bytes: [UInt8], checksum: BlockChecksum) {
    self.id = id
    self.bytes = bytes
    self.checksum = checksum
  }
}

/// A piece of a copy: whole blocks (the last block of a part may be short) and their checksums.
public struct PartExtent: Hashable, Sendable {
  /// The part that it is a piece of.
  public let id: PartID
  /// The length of the whole part in bytes.
  public let length: UInt64
  /// Where the piece begins: a multiple of `Limits.blockBytes`.
  public let offset: UInt64
  /// One for each block of the piece, in order.
  public let checksums: [BlockChecksum]

  /// A piece that begins at `offset` and has a block for each checksum; nothing is checked here.
  public init(id: PartID, length: UInt64, offset: UInt64, checksums: [BlockChecksum]) {
    self.id = id
    self.length = length
    self.offset = offset
    self.checksums = checksums
  }
}

/// The space of a server, as one user sees it. Bytes.
public struct SpaceReport: Hashable, Sendable {
  /// The size of the disk, or the user's quota if that is less.
  public let total: UInt64
  /// What this user can still write to this server.
  public let available: UInt64
  /// What this user's copies and tables take.
  public let used: UInt64
  /// How many inodes the user's namespace has.
  public let inodes: UInt64

  /// All in bytes but `inodes`.
  public init(total: UInt64, available: UInt64, used: UInt64, inodes: UInt64) {
    self.total = total
    self.available = available
    self.used = used
    self.inodes = inodes
  }
}

/// A copy that a server should have and has not.
public struct MissingCopy: Hashable, Sendable {
  /// The part that it is a copy of.
  public let id: PartID
  /// The inode whose content it is of.
  public let inode: InodeID
  /// Where the copies of that content belong.
  public let content: RowContent

  /// Part `id` of the content of `inode`.
  public init(id: PartID, inode: InodeID, content: RowContent) {
    self.id = id
    self.inode = inode
    self.content = content
  }
}

/// How one user's copies are on one server.
public struct HealthReport: Hashable, Sendable {
  /// The head of the rows that ask for the copies.
  public var head: Head
  /// Counts of the files that have a content, by `RowContent.copies`.
  public var placements: [UInt32: UInt64] = [:]
  /// Copies that are here of those that the rows ask for.
  public var copies: UInt64 = 0
  /// Copies that the rows ask for and that are not here, or damaged.
  public var missing: UInt64 = 0
  /// The bytes of those.
  public var missingBytes: UInt64 = 0
  /// Copies that were quarantined because their bytes were wrong.
  public var damaged: UInt64 = 0
  /// How far the last scrub of these copies came.
  public var scrub = ScrubReport()
  /// What the user takes of the server, and may take yet.
  public var space = SpaceReport(total: 0, available: 0, used: 0, inodes: 0)
  /// The release of the server's program, for people.
  public var software = ""
  /// The requests of this user that the server has begun since its start.
  public var requests: UInt64 = 0

  /// A report at `head` of a user without files.
  public init(head: Head) { self.head = head }
}

/// Where the reading back of all copies is.
public struct ScrubReport: Hashable, Sendable {
  /// Whether a round is under way.
  public var isRunning = false
  /// Bytes of part files that the last round, or the one that is running, has read.
  public var checkedBytes: UInt64 = 0
  /// Bytes of all part files as that round began.
  public var totalBytes: UInt64 = 0
  /// When the last round ended, in seconds since 1970; 0 if none has.
  public var lastEndSeconds: Int64 = 0
  /// Copies that the last round (or the one that is running) found damaged or missing.
  public var damaged: UInt64 = 0

  /// No round was ever run.
  public init() {}
}
