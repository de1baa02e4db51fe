internal import DFSCore
internal import DFSReplication
internal import GRDB

/// The recent changes, in the table `log`.
///
/// Invariant: it holds the numbers logBase + 1 … head.number without a gap.
enum ChangeLog {
  /// Bytes counted for an entry besides its writes.
  static let entryBytes = 64

  static func append(_ entry: LogEntry, _ ledger: inout Ledger, _ db: Database) throws {
    let writes = RowWriteCodec.encode(entry.change.writes)
    let bytes = writes.count + entryBytes
    try db.perform(
      "INSERT INTO log VALUES (?, ?, ?, ?, ?, ?, ?)", .bits(entry.number),
      .bits(entry.change.id.client.value), .bits(entry.change.id.sequence), entry.digest.stored,
      .number(Int64(bytes)), .bytes(writes), .number(checksum(entry, bytes, writes)))
    ledger.logBytes += bytes
  }

  private static func checksum(_ entry: LogEntry, _ bytes: Int, _ writes: [UInt8]) -> Int64 {
    RowChecksum.of(
      [entry.number, entry.change.id.client.value, entry.change.id.sequence, UInt64(bytes)],
      entry.digest.bytes, writes)
  }

  static func entry(_ number: UInt64, _ db: Database) throws -> LogEntry? {
    try db.first("SELECT \(columns) FROM log WHERE number = ?", .bits(number)) { try entry($0) }
  }

  private static func entry(_ row: SQLRow) throws -> LogEntry {
    let id = ChangeID(client: ClientID(try row.number(1)), sequence: try row.number(2))
    let writes = row.bytes(4)
    let change = Change(id: id, writes: try RowWriteCodec.decode(writes))
    let entry = LogEntry(number: try row.number(0), change: change, digest: try row.digest(3))
    let bytes = writes.count + entryBytes
    guard try row.integer(5) == bytes, try row.integer(6) == checksum(entry, bytes, writes) else {
      throw DFSError(.damaged, "change \(entry.number) of the log does not match its checksum")
    }
    return entry
  }

  private static let columns = "number, client, sequence, digest, writes, bytes, checksum"

  /// Every entry in order, each against its checksum.
  static func forEach(_ db: Database, _ body: (LogEntry) throws -> Void) throws {
    try db.forEach("SELECT \(columns) FROM log ORDER BY number") { try body(try entry($0)) }
  }

  /// The answer to a request for the log after number `after`.
  static func read(
    after: UInt64, _ ledger: Ledger, _ db: Database
  ) throws -> NamespaceReply {
    let head = ledger.replica.head
    guard let base = try digest(at: after, ledger, db) else {
      return .log(base: nil, entries: [], head: head)
    }
    var entries: [LogEntry] = []
    var bytes = 0
    let text = "SELECT \(columns) FROM log WHERE number > ? ORDER BY number"
    try db.forEachWhile(text, .bits(after)) { row in
      bytes += try row.length(5)
      if !entries.isEmpty, bytes > Limits.answerBytes { return false }
      entries.append(try entry(row))
      return true
    }
    return .log(base: base, entries: entries, head: head)
  }

  /// The digest of the rows at `number`, where the log tells it.
  private static func digest(
    at number: UInt64, _ ledger: Ledger, _ db: Database
  ) throws -> RowDigest? {
    if number == ledger.replica.head.number { return ledger.replica.head.digest }
    if number == ledger.logBase { return ledger.logBaseDigest }
    guard number > ledger.logBase, number < ledger.replica.head.number else { return nil }
    return try entry(number, db)?.digest
  }

  /// Bytes of all entries.
  static func bytes(_ db: Database) throws -> Int {
    try db.first("SELECT coalesce(sum(bytes), 0) FROM log") { Int(try $0.integer(0)) } ?? 0
  }

  /// Removes the oldest entries of a log that is a sixteenth over its limits, until it is within them again: so
  /// most changes do not touch the pages of the oldest.
  static func trim(_ ledger: inout Ledger, _ options: StoreOptions, _ db: Database) throws {
    var count = Int(ledger.replica.head.number - ledger.logBase)
    guard
      count > options.logChanges + options.logChanges / 16
        || ledger.logBytes > options.logBytes + options.logBytes / 16
    else { return }
    try db.forEachWhile("SELECT number, digest, bytes FROM log ORDER BY number") { row in
      ledger.logBytes -= try row.length(2)
      ledger.logBase = try row.number(0)
      ledger.logBaseDigest = try row.digest(1)
      count -= 1
      return count > options.logChanges || ledger.logBytes > options.logBytes
    }
    try db.perform("DELETE FROM log WHERE number <= ?", .bits(ledger.logBase))
  }

  /// Forgets all changes: the rows were replaced as a whole, and the log begins after `head`.
  static func clear(_ ledger: inout Ledger, _ db: Database) throws {
    try db.perform("DELETE FROM log")
    ledger.logBase = ledger.replica.head.number
    ledger.logBaseDigest = ledger.replica.head.digest
    ledger.logBytes = 0
  }
}
