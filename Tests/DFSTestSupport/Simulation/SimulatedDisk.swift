internal import DFSCore
internal import DFSReplication

/// What one server has on its disk for one user, and what of it a loss of power would leave.
///
/// Invariant: `synced` and the appends made since give `current`.
struct SimulatedDisk {
  struct State {
    var replica = Replica()
    var rows: [RowKey: Row] = [:]
    /// The latest changes.
    var log: [LogEntry] = []
    /// The number and digest before the first entry of `log`.
    var base: (number: UInt64, digest: RowDigest) = (0, .empty)
    /// For the checks only, and never trimmed: the change under each number from 1.
    var archive: [Change] = []

    mutating func append(_ change: Change, keeping logLength: Int) {
      let number = replica.head.number + 1
      for write in change.writes {
        if let old = rows[write.key] { replica.head.digest -= RowDigest(of: old) }
        let row = write.value.map { Row(key: write.key, change: number, value: $0) }
        rows[write.key] = row
        if let row { replica.head.digest += RowDigest(of: row) }
      }
      replica.head.number = number
      log.append(LogEntry(number: number, change: change, digest: replica.head.digest))
      if log.count > logLength {
        let dropped = log.removeFirst()
        base = (dropped.number, dropped.digest)
      }
      archive.append(change)
    }

    func entry(_ number: UInt64) -> LogEntry? {
      guard let first = log.first, number >= first.number, number <= replica.head.number else {
        return nil
      }
      return log[Int(number - first.number)]
    }

    /// The digest of the rows after change `number`; nil where the log does not tell.
    func digest(after number: UInt64) -> RowDigest? {
      number == base.number ? base.digest : entry(number)?.digest
    }
  }

  private(set) var current = State()
  private(set) var synced = State()
  private var unsynced: [Change] = []
  /// So many of `unsynced` came before an install that was not synced either (a mistake).
  private var unsyncedBeforeInstall: Int?
  private var backup: State?
  /// The state at the last install, for the mistake of installing again.
  private var installed: State?
  let logLength: Int

  init(logLength: Int) { self.logLength = logLength }

  mutating func sync() {
    synced = current
    unsynced = []
    unsyncedBeforeInstall = nil
  }

  mutating func promise(_ view: View, syncs: Bool) {
    current.replica.promised = view
    if syncs { sync() }
  }

  mutating func append(_ change: Change, syncs: Bool) {
    current.append(change, keeping: logLength)
    unsynced.append(change)
    if syncs { sync() }
  }

  /// Nil if the rows have not the digest of `to` afterwards; nothing happens then.
  mutating func install(_ view: View, _ changes: [Change], to: Head, syncs: Bool) -> Head? {
    var next = current
    for change in changes { next.append(change, keeping: logLength) }
    guard next.replica.head.hasSameRows(as: to) else { return nil }
    next.replica.promised = view
    next.replica.head.view = view
    current = next
    installed = next
    if syncs { sync() } else { unsyncedBeforeInstall = unsyncedBeforeInstall ?? unsynced.count }
    return current.replica.head
  }

  mutating func refill(_ view: View, rows: [Row], to: Head, archive: [Change]) -> Head? {
    var next = State()
    for row in rows {
      next.rows[row.key] = row
      next.replica.head.digest += RowDigest(of: row)
    }
    guard next.rows.count == rows.count, next.replica.head.digest == to.digest else { return nil }
    next.replica.promised = view
    next.replica.head = Head(view: view, number: to.number, digest: to.digest)
    next.base = (to.number, to.digest)
    next.archive = archive
    current = next
    installed = next
    sync()
    return current.replica.head
  }

  // MARK: Faults

  /// The power fails: of the appends that were not synced the first few are left.
  mutating func losePower(leaving count: Int) {
    current = synced
    for change in unsynced.prefix(min(count, unsyncedBeforeInstall ?? count)) {
      current.append(change, keeping: logLength)
    }
    sync()
  }

  var unsyncedCount: Int { unsynced.count }

  mutating func keepBackup() { backup = current }

  /// The disk is replaced: by a blank one, or by what was on it at the last backup.
  mutating func replace(restoring: Bool) {
    current = (restoring ? backup : nil) ?? State()
    installed = nil
    sync()
  }

  /// The mistake of installing a view again.
  mutating func installAgain() {
    guard let installed else { return }
    current = installed
    sync()
  }
}
