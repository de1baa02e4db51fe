internal import DFSCore
internal import DFSReplication
internal import DFSSystem
internal import GRDB

/// What comes with a namespace request.
struct NamespaceJob: Sendable {
  let request: NamespaceRequest
  var parts: [InlinePart] = []
  var held: [PartID] = []
  var isDurable = false
  /// The connection that brings it.
  var session: UInt64?

  /// Whether the database may become another.
  var mayWrite: Bool {
    switch request {
    case .prepare, .install, .apply: true
    case .log, .head: false
    }
  }

  /// Whether the answer must wait for stable storage.
  var needsStableStorage: Bool {
    switch request {
    case .prepare, .install: true
    case .apply: isDurable
    case .log, .head: false
    }
  }
}

/// A change of the rows that observers are told of.
struct Announcement: Sendable {
  /// nil: everything.
  let keys: [RowKey]?
  let head: Head
  /// The connection that brought it; nil: it is not the work of one.
  let author: UInt64?
}

/// What became of a request.
struct Effect: Sendable {
  let reply: NamespaceReply
  var announcements: [Announcement] = []
  /// Copies that rows ask this server for now.
  var asked: [PartID] = []
  /// Copies that the change names and that were here.
  var held: [PartID] = []
  /// Small copies that were stored.
  var inlineCount = 0
}

/// Performs the decisions of `Replica` on the tables, within one transaction of the writer.
///
/// Invariant: what `perform` throws or answers with a refusal has changed nothing: each request is
/// in a savepoint, or alone in a transaction that is given up, and the ledger goes back with it.
struct NamespaceTransaction {
  /// Keys of one announcement; where there are more, everything is said to have changed.
  private static let announcedKeys = 4096

  let db: Database
  let tables: CopyTables
  let copies: PartStore
  let nowSeconds: Int64
  /// The commit waits for stable storage, so the copies that it names must be there before.
  let isDurable: Bool
  var ledger: Ledger
  /// Bytes of rows that were written, less those that they replaced.
  private var rowBytes = 0

  init(
    _ db: Database, _ copies: PartStore, nowSeconds: Int64, isDurable: Bool, _ ledger: Ledger
  ) {
    self.db = db
    self.copies = copies
    self.nowSeconds = nowSeconds
    self.isDurable = isDurable
    self.ledger = ledger
    tables = CopyTables(db: db, required: copies.required)
  }

  /// - Parameter isAlone: it is the transaction's only request, and what it did is undone with that: no
  ///   savepoint is needed.
  mutating func perform(_ job: NamespaceJob, isAlone: Bool) throws -> Effect {
    let before = ledger
    var effect: Effect?
    do {
      if isAlone {
        effect = try decide(job)
      } else {
        try db.savepoint {
          let result = try decide(job)
          effect = result
          return !result.changesNothing
        }
      }
    } catch {
      ledger = before
      throw error
    }
    guard let effect else { throw DFSError(.inputOutput, "a request was left without an answer") }
    if effect.changesNothing { ledger = before }
    return effect
  }

  private mutating func decide(_ job: NamespaceJob) throws -> Effect {
    if case .log(let after) = job.request {
      return Effect(reply: try ChangeLog.read(after: after, ledger, db))
    }
    if let view = job.request.view, let error = ledger.replica.leap(to: view) { throw error }
    let logged = try loggedEntry(job.request)
    switch ledger.replica.decide(job.request, logged: { $0 == logged?.number ? logged : nil }) {
    case .promise(let view):
      ledger.replica.promised = view
      return Effect(reply: .promised(ledger.replica.head))
    case .install(let view, let changes, let to):
      return try install(view, changes, to: to)
    case .append(let number, let change): return try append(number, change, job)
    case .answer(let reply): return Effect(reply: reply)
    }
  }

  /// The log entry that the decision may ask for.
  private func loggedEntry(_ request: NamespaceRequest) throws -> LogEntry? {
    guard case .apply(_, let number, _) = request, number <= ledger.replica.head.number else {
      return nil
    }
    return try ChangeLog.entry(number, db)
  }

  // MARK: Install

  private mutating func install(_ view: View, _ changes: [Change], to: Head) throws -> Effect {
    let before = ledger.replica.head
    let rowsBefore = rowBytes
    for change in changes { try write(change, number: ledger.replica.head.number + 1) }
    guard ledger.replica.head.digest == to.digest else { return Effect(reply: .behind(before)) }
    try requireRoom(forRows: rowBytes - rowsBefore, over: 4)
    ledger.replica.head.view = view
    ledger.replica.promised = view
    let keys = changes.flatMap { $0.writes.map(\.key) }
    let announcement = Announcement(
      keys: keys.count > Self.announcedKeys ? nil : keys, head: ledger.replica.head, author: nil)
    return Effect(
      reply: .installed(ledger.replica.head), announcements: [announcement],
      asked: changes.flatMap { asked($0) })
  }

  /// The copies that a change asks this server for.
  private func asked(_ change: Change) -> [PartID] {
    change.writes.flatMap { tables.required.copies(of: $0.value?.content) }
  }

  // MARK: Append

  private mutating func append(
    _ number: UInt64, _ change: Change, _ job: NamespaceJob
  ) throws -> Effect {
    CrashPoint.reached(.changeReceived)
    let missing = try missingCopies(job)
    guard missing.isEmpty else { return Effect(reply: .missingParts(missing)) }
    let asked = asked(change)
    try requireRoom(for: job.parts)
    try storeParts(job.parts, change, number: number)
    let rowsBefore = rowBytes
    try write(change, number: number)
    try requireRoom(forRows: rowBytes - rowsBefore)
    CrashPoint.reached(.changeWritten)
    ledger.committed = number - 1
    let head = ledger.replica.head
    let announcement = Announcement(
      keys: change.writes.map(\.key), head: head, author: job.session)
    return Effect(
      reply: .applied(head), announcements: [announcement], asked: asked, held: job.held,
      inlineCount: job.parts.count { asked.contains($0.id) })
  }

  /// The copies that must be here and are not; with a durable commit those too that could not be
  /// brought to stable storage.
  private func missingCopies(_ job: NamespaceJob) throws -> [PartID] {
    if isDurable { copies.unsynced.sync(job.held) }
    return try job.held.filter { try !isHere($0) }
  }

  private func isHere(_ id: PartID) throws -> Bool {
    try tables.hasPart(id) || copies.exists(id)
  }

  /// Small copies that came with a change: those that it asks this server for, and those of the same
  /// versions that other servers are asked for.
  private func storeParts(_ parts: [InlinePart], _ change: Change, number: UInt64) throws {
    let asked = Set(asked(change))
    let named = Set(change.writes.compactMap { $0.value?.version })
    for part in parts {
      if asked.contains(part.id) {
        try tables.put(part)
      } else if named.contains(part.id.version) {
        try tables.retain(part, number: number, nowSeconds: nowSeconds)
      } else {
        throw DFSError(
          .protocolViolation, "part \(part.id) came with a change that does not name its version")
      }
    }
  }

  // MARK: Quota, and the disk

  /// Small copies are refused like large ones, when there is no room for them. (What lags behind is
  /// brought without them.)
  private func requireRoom(for parts: [InlinePart]) throws {
    let bytes = parts.reduce(0) { $0 + $1.bytes.count }
    guard bytes > 0 else { return }
    try copies.allowance.require(UInt64(bytes), used: try usedBytes())
    try copies.allowance.requireDisk(UInt64(bytes), at: copies.directory)
  }

  /// Rows may go over the quota by an eighth, and those that a server lacked by a fourth: so one that lags can
  /// be caught up, and whoever has only rows does not fill the disk with them. Those that become fewer
  /// are never refused.
  private func requireRoom(forRows bytes: Int, over part: UInt64 = 8) throws {
    guard bytes > 0 else { return }
    let used = try usedBytes()
    try copies.allowance.require(UInt64(bytes), used: used - used / part)
  }

  /// Bytes of the copies and of what is used of the database; 0 where there is no quota.
  private func usedBytes() throws -> UInt64 {
    guard copies.allowance.quotaBytes != nil else { return 0 }
    return copies.usedBytes + (try NamespaceDatabase.usedBytes(db))
  }

  // MARK: Rows

  /// Writes the rows of a change, keeping digest, counts, log and the tables of copies.
  private mutating func write(_ change: Change, number: UInt64) throws {
    guard change.writes.count <= Limits.changeWrites else {
      throw DFSError(
        .protocolViolation,
        "a change of \(change.writes.count) rows; the limit is \(Limits.changeWrites)")
    }
    for write in change.writes { try self.write(write, number: number) }
    ledger.replica.head.number = number
    let entry = LogEntry(number: number, change: change, digest: ledger.replica.head.digest)
    try ChangeLog.append(entry, &ledger, db)
  }

  private mutating func write(_ write: RowWrite, number: UInt64) throws {
    let old = try RowTables.row(write.key, db)
    rowBytes -= old?.approximateBytes ?? 0
    if let old { ledger.replica.head.digest -= RowDigest(of: old) }
    if let value = write.value {
      try RowTables.check(write.key, value)
      let row = DFSCore.Row(key: write.key, change: number, value: value)
      let digest = RowDigest(of: row)
      rowBytes += row.approximateBytes
      ledger.replica.head.digest += digest
      try RowTables.put(row, digest, db)
    } else if old != nil {
      try RowTables.delete(write.key, db)
    }
    guard case .inode(let id) = write.key else { return }
    if old == nil, write.value != nil { ledger.inodes += 1 }
    if old != nil, write.value == nil { ledger.inodes -= 1 }
    try tables.changed(
      id, from: old?.value.content, to: write.value?.content, number: number,
      nowSeconds: nowSeconds, isHere: isHere)
  }
}

extension Effect {
  /// Answers after which what was tried in the savepoint is undone.
  fileprivate var changesNothing: Bool {
    switch reply {
    case .behind, .refused, .foreign, .missingParts, .log, .head: true
    case .promised, .installed, .applied: false
    }
  }
}
