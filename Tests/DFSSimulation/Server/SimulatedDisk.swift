internal import DFSCore
internal import DFSReplication

/// What one server has on its disk for one user, and what of it a loss of power would leave. What is
/// done with copies is in SimulatedDisk+Copies.swift.
///
/// Invariant: `unsynced` are the states of the database after each transaction since `synced`; the
/// last one is `current`.
struct SimulatedDisk {
  struct State {
    var replica = Replica()
    var rows: [RowKey: Row] = [:]
    var copies = SimulatedCopies()
    /// Every change up to this number is known to be on three servers.
    var committed: UInt64 = 0
    /// The latest changes.
    var log: [LogEntry] = []
    /// The number and digest before the first entry of `log`.
    var base: (number: UInt64, digest: RowDigest) = (0, .empty)
    /// For the checks only, and never trimmed: the change under each number from 1.
    var archive: [Change] = []

    mutating func append(_ change: Change, _ setting: Setting) {
      let number = replica.head.number + 1
      for write in change.writes {
        let old = rows[write.key]
        if let old { replica.head.digest -= RowDigest(of: old) }
        let row = write.value.map { Row(key: write.key, change: number, value: $0) }
        rows[write.key] = row
        if let row { replica.head.digest += RowDigest(of: row) }
        changed(write.key, from: old, to: row, number: number, setting)
      }
      replica.head.number = number
      log.append(LogEntry(number: number, change: change, digest: replica.head.digest))
      if log.count > setting.logLength {
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

  /// What a transaction needs to know besides the database.
  struct Setting {
    let required: RequiredReplicas
    let logLength: Int
    var now = 0
    var files: [PartID: SimulatedFile] = [:]
  }

  var current = State()
  private(set) var synced = State()
  private var syncedAt = 0
  private(set) var unsynced: [State] = []
  /// So many of `unsynced` came before an install that was not synced either (a mistake).
  private var unsyncedBeforeInstall: Int?
  private var backup: (state: State, files: [PartID: SimulatedFile])?
  /// The state at the last install, for the mistake of installing again.
  private var installed: State?
  var setting: Setting
  /// Copies that were removed since the last loss of power: their names may come back.
  var removed: [PartID: SimulatedFile] = [:]
  /// Whether copies are synced before the changes that name them.
  var syncsCopies = true
  /// Who was granted read leases, which may not have ended yet.
  var leases: Set<ClientID> = []
  /// No room: whatever is to be stored is refused.
  var isFull = false
  /// The next fsync of the database, or of a copy, fails.
  var failsLogSync = false
  var failsCopySync = false
  /// Copies that are no more because their fsync failed.
  var quarantined: [PartID] = []
  /// An fsync of the database has failed: nothing is answered any more until the next start.
  private(set) var hasFailed = false
  /// What the failed fsync was to bring to stable storage is not there, and the kernel does not try
  /// again: nothing that comes after it in the log survives a loss of power.
  private var isHollow = false
  /// The mistake of answering after a failed fsync.
  var ignoresFailedSync = false

  init(logLength: Int, server: ServerIndex = ServerIndex(0)) {
    setting = Setting(required: RequiredReplicas(server: server), logLength: logLength)
  }

  /// Brings the transactions so far, and before them the copies that they name, to stable storage.
  mutating func sync() {
    if syncsCopies { syncFiles(current.asked(setting.required).map(\.0)) }
    if failsLogSync {
      (failsLogSync, isHollow, hasFailed) = (false, true, !ignoresFailedSync)
    }
    if !isHollow { settleLog() }
  }

  private mutating func settleLog() {
    syncedAt = setting.now
    synced = current
    unsynced = []
    unsyncedBeforeInstall = nil
  }

  /// A transaction has ended.
  mutating func commit(syncs: Bool) {
    unsynced.append(current)
    if syncs { sync() }
  }

  mutating func promise(_ view: View, syncs: Bool) {
    current.replica.promised = view
    if syncs { sync() }
  }

  mutating func append(_ change: Change, syncs: Bool) {
    current.append(change, setting)
    current.committed = current.replica.head.number - 1
    commit(syncs: syncs)
  }

  /// Nil if the rows have not the digest of `to` afterwards; nothing happens then.
  mutating func install(_ view: View, _ changes: [Change], to: Head, syncs: Bool) -> Head? {
    var next = current
    for change in changes { next.append(change, setting) }
    guard next.replica.head.hasSameRows(as: to) else { return nil }
    next.replica.promised = view
    next.replica.head.view = view
    current = next
    installed = next
    unsyncedBeforeInstall = unsyncedBeforeInstall ?? unsynced.count
    commit(syncs: syncs)
    return current.replica.head
  }

  mutating func transfer(_ view: View, rows: [Row], to: Head, archive: [Change]) -> Head? {
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
    next.committed = min(current.committed, to.number)
    next.takeCopies(from: current, number: to.number, setting)
    current = next
    installed = next
    sync()
    return current.replica.head
  }

  // MARK: Faults

  /// The process ends: what it wrote is in the kernel, which brings it to stable storage some time,
  /// but nobody knows any more what has to be there before what.
  mutating func processEnds() {
    for (id, file) in setting.files where !file.isSynced { setting.files[id]?.isKnown = false }
  }

  /// Another process begins: it brings to stable storage all that it finds, the copies first, and
  /// moves the log into the database, so that nothing comes after a hole in it.
  mutating func processBegins(forgetsUnsynced: Bool, trustsCache: Bool) {
    hasFailed = false
    if !forgetsUnsynced { writeBack() }
    if trustsCache { return }
    isHollow = false
    settleLog()
  }

  /// What the kernel does some time after a process has ended.
  mutating func writeBack() {
    for id in setting.files.keys { setting.files[id]?.isSynced = true }
    if !isHollow { settleLog() }
  }

  /// The copies that rows on stable storage ask for, and that were here before those were.
  var promised: [PartID] {
    synced.asked(setting.required).map(\.0).filter { id in
      setting.files[id].map { $0.isGood && $0.completed < syncedAt } ?? false
    }
  }

  /// The power fails: of the transactions that were not synced the first few are left.
  mutating func losePower(leaving count: Int) {
    let left = min(count, unsyncedBeforeInstall ?? count, unsynced.count)
    current = left > 0 ? unsynced[left - 1] : synced
    settle()
  }

  var unsyncedCount: Int { unsynced.count }

  /// No fsync fails any more.
  mutating func forgetFailures() { (failsLogSync, failsCopySync) = (false, false) }

  mutating func keepBackup() { backup = (current, setting.files) }

  /// The disk is replaced: by a blank one, or by what was on it at the last backup.
  mutating func replace(restoring: Bool) {
    let old = restoring ? backup : nil
    current = old?.state ?? State()
    setting.files = old?.files ?? [:]
    removed = [:]
    installed = nil
    leases = []
    settle()
  }

  /// What is here now is what is on stable storage.
  private mutating func settle() {
    synced = current
    unsynced = []
    unsyncedBeforeInstall = nil
    (hasFailed, isHollow, failsLogSync, failsCopySync) = (false, false, false, false)
    for id in setting.files.keys { setting.files[id]?.isSynced = true }
  }

  /// The mistake of installing a view again.
  mutating func installAgain() {
    guard let installed else { return }
    current = installed
    sync()
  }
}
