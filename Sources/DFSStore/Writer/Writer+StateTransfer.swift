internal import DFSCore
internal import DFSReplication
internal import DFSSystem
internal import GRDB
internal import Logging
internal import Synchronization

/// Replacing all rows by staged ones, in one transaction.
extension Writer {
  /// - Returns: nil if a transfer for `view` may begin, else the answer.
  func refusalOfTransfer(_ view: View) async throws -> NamespaceReply? {
    try await exclusive { state, _ in
      guard let replica = state.ledger?.replica else { throw Self.unread }
      if let error = replica.leap(to: view) { throw error }
      return replica.refusalOfTransfer(view)
    }
  }

  /// Puts what is right of the rows here into `stage`.
  /// - Returns: nil, or where they are if that is elsewhere.
  func stage(_ own: OwnRows, in stage: StagedState) async throws -> NamespaceReply? {
    try await exclusive { state, database in
      guard let head = state.ledger?.replica.head else { throw Self.unread }
      guard head.hasSameRows(as: own.head) else { return .behind(head) }
      try stage.begin(with: database.path, head.digest, without: own.without)
      return nil
    }
  }

  /// Installs `view` on the staged rows if they have the digest of `to`.
  func install(_ stage: StagedState, _ view: View, to: Head) async throws -> NamespaceReply {
    try await exclusive { state, database in
      guard let ledger = state.ledger else { throw Self.unread }
      if let error = ledger.replica.leap(to: view) { throw error }
      if let refusal = ledger.replica.refusalOfTransfer(view) { return refusal }
      guard try stage.finish() == to.digest else { return .behind(ledger.replica.head) }
      return try self.guarding(&state) { state in
        let head = Head(view: view, number: to.number, digest: to.digest)
        return try self.replaceRows(stage, head, ledger, &state, database)
      }
    }
  }

  static let unread = DFSError(.inputOutput, "the state of the database was not read")

  func replaceRows(
    _ stage: StagedState, _ head: Head, _ before: Ledger, _ state: inout WriterState,
    _ database: NamespaceDatabase
  ) throws -> NamespaceReply {
    var ledger = before
    ledger.replica = Replica(promised: head.view, head: head)
    ledger.generation += 1
    ledger.committed = min(before.committed, head.number)
    try database.pool.writeWithoutTransaction { db in
      try database.setDurable(true, db)
      try db.execute(sql: "ATTACH DATABASE ? AS transfer", arguments: [stage.path])
      defer { try? db.execute(sql: "DETACH DATABASE transfer") }
      keepRows(database, db)
      try db.transaction {
        let tables = CopyTables(db: db, required: copies.required)
        let differences = try Self.differences(db)
        // What these rows do not ask for may be asked for again by the next change (a publish that
        // was undone is tried again): that one must be known to be committed before it goes.
        let next = head.number + 1
        try tables.limitUnreferenced(number: next)
        try Self.replaceRows(db)
        for (inode, old, new) in differences {
          try tables.changed(
            inode, from: old, to: new, number: next, nowSeconds: WallClock.seconds,
            isTransfer: true
          ) { [copies] id in try tables.hasPart(id) || copies.exists(id) }
        }
        ledger.inodes = try db.first("SELECT count(*) FROM inode") { try $0.number(0) } ?? 0
        try ChangeLog.clear(&ledger, db)
        try ledger.save(db)
        // The new rows may ask for any of them.
        copies.unsynced.sync(copies.unsynced.ids)
        CrashPoint.reached(.rowsReplaced)
        return true
      }
    }
    CrashPoint.reached(.refillCommitted)
    state.ledger = ledger
    state.isDirty = false
    state.named = []
    hasUnreferenced.store(true, ordering: .relaxed)
    hasMissing.store(true, ordering: .relaxed)
    state.logBytes = Self.checkpointBytes + 1
    publisher.publish([Announcement(keys: nil, head: head, author: nil)], ledger)
    flushSoon()
    return .installed(head)
  }

  /// That they cannot be kept, as the disk is full, does not keep the server from being caught up.
  private func keepRows(_ database: NamespaceDatabase, _ db: Database) {
    do {
      let kept = try KeptRows(database.directory).keep(
        db, nowSeconds: WallClock.seconds, options)
      guard let kept else { return }
      logger.warning(
        "a state transfer removes names and files; the rows before it are kept for some days",
        metadata: ["removed": "\(kept.dropped)", "file": "\(kept.file)"])
    } catch {
      logger.error(
        "the rows that a state transfer replaces could not be kept", metadata: ["cause": "\(error)"]
      )
    }
  }

  /// The contents that the transfer changes.
  private static func differences(
    _ db: Database
  ) throws -> [(InodeID, RowContent?, RowContent?)] {
    let text = """
      SELECT i.id, i.version, i.copies, s.version, s.copies
        FROM main.inode i LEFT JOIN transfer.inode s ON s.id = i.id
        WHERE i.version IS NOT s.version OR i.copies IS NOT s.copies
      UNION ALL SELECT s.id, NULL, NULL, s.version, s.copies
        FROM transfer.inode s LEFT JOIN main.inode i ON s.id = i.id
        WHERE i.id IS NULL AND s.version IS NOT NULL
      """
    var differences: [(InodeID, RowContent?, RowContent?)] = []
    try db.forEach(text) { row in
      differences.append((InodeID(try row.number(0)), try row.content(1), try row.content(3)))
    }
    return differences
  }

  /// Only rows that differ are written.
  private static func replaceRows(_ db: Database) throws {
    try db.execute(
      sql: """
        DELETE FROM main.inode WHERE id NOT IN (SELECT id FROM transfer.inode);
        INSERT OR REPLACE INTO main.inode SELECT s.* FROM transfer.inode s
          LEFT JOIN main.inode i ON i.id = s.id
          WHERE i.id IS NULL OR i."change" <> s."change" OR i.version IS NOT s.version
            OR i.copies IS NOT s.copies OR i.value <> s.value;
        DELETE FROM main.entry WHERE NOT EXISTS (SELECT 1 FROM transfer.entry s
          WHERE s.parent = entry.parent AND s.name = entry.name);
        INSERT OR REPLACE INTO main.entry SELECT s.* FROM transfer.entry s
          LEFT JOIN main.entry e ON e.parent = s.parent AND e.name = s.name
          WHERE e.name IS NULL OR e."change" <> s."change" OR e.child IS NOT s.child
            OR e.value <> s.value;
        DELETE FROM main.attribute WHERE NOT EXISTS (SELECT 1 FROM transfer.attribute s
          WHERE s.inode = attribute.inode AND s.name = attribute.name);
        INSERT OR REPLACE INTO main.attribute SELECT s.* FROM transfer.attribute s
          LEFT JOIN main.attribute a ON a.inode = s.inode AND a.name = s.name
          WHERE a.name IS NULL OR a."change" <> s."change" OR a.value <> s.value;
        """)
  }
}
