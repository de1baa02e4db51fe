internal import DFSCore
internal import DFSSystem
internal import GRDB
internal import Logging
internal import Synchronization

/// One transaction of the writer, and what follows from it.
extension Writer {
  /// Performs `jobs` in one transaction.
  /// - Returns: for each its answer, or its own failure.
  /// - Throws: what failed all of them; nothing was changed then.
  func commit(
    _ jobs: [NamespaceJob], _ state: inout WriterState
  ) throws(DFSError) -> [Result<NamespaceReply, DFSError>] {
    let isDurable = options.syncAlways || jobs.contains(where: \.needsStableStorage)
    return try handle.use { database in
      try prepare(database, &state)
      let effects = try guarding(&state) { state in
        try database.pool.writeWithoutTransaction { db in
          if jobs.contains(where: \.mayWrite) { try database.setDurable(isDurable, db) }
          return try transact(jobs, isDurable: isDurable, &state, database, db)
        }
      }
      sessions.asked(asked(effects))
      return effects.map { $0.map(\.reply) }
    }
  }

  private func transact(
    _ jobs: [NamespaceJob], isDurable: Bool, _ state: inout WriterState,
    _ database: NamespaceDatabase, _ db: Database
  ) throws -> [Result<Effect, DFSError>] {
    guard let before = state.ledger else { return [] }
    var transaction = NamespaceTransaction(
      db, copies, nowSeconds: WallClock.seconds, isDurable: isDurable, before)
    var effects: [Result<Effect, DFSError>] = []
    try db.transaction {
      effects = try jobs.map { try perform($0, &transaction, isAlone: jobs.count == 1) }
      guard transaction.ledger != before else { return false }
      transaction.ledger.generation += 1
      try ChangeLog.trim(&transaction.ledger, options, db)
      try transaction.ledger.save(db)
      if isDurable || state.isSyncing { copies.unsynced.sync(Array(state.named) + asked(effects)) }
      if isDurable { CrashPoint.reached(.commitPrepared) }
      return true
    }
    state.logBytes += try NamespaceDatabase.loggedBytes(db)
    let succeeded = effects.compactMap { try? $0.get() }
    succeeded.compactMap(\.crashPoint).forEach(CrashPoint.reached)
    try note(succeeded, isDurable: isDurable, transaction.ledger, &state, database)
    publisher.publish(succeeded.flatMap(\.announcements), transaction.ledger)
    return effects
  }

  /// The copies that the rows ask for now; also those of changes that came from another server's log
  /// may have been uploaded here before, and not be on stable storage.
  private func asked(_ effects: [Result<Effect, DFSError>]) -> [PartID] {
    effects.flatMap { (try? $0.get())?.asked ?? [] }
  }

  /// One request. Its own failure is its answer; one that ended the transaction is that of all.
  private func perform(
    _ job: NamespaceJob, _ transaction: inout NamespaceTransaction, isAlone: Bool
  ) throws -> Result<Effect, DFSError> {
    do {
      return .success(try transaction.perform(job, isAlone: isAlone))
    } catch {
      guard transaction.db.isInsideTransaction, !Self.isFatal(error) else { throw error }
      return .failure(.database(error, handle.path))
    }
  }

  /// After the commit: what is on stable storage now, and what has to go there.
  private func note(
    _ effects: [Effect], isDurable: Bool, _ ledger: Ledger, _ state: inout WriterState,
    _ database: NamespaceDatabase
  ) throws {
    let hasWritten = state.ledger != ledger
    state.ledger = ledger
    if hasWritten {
      hasUnreferenced.store(true, ordering: .relaxed)
      if effects.contains(where: \.mayWant) { hasMissing.store(true, ordering: .relaxed) }
      if effects.contains(where: \.isAppend) {
        lastAppendSeconds.store(WallClock.seconds, ordering: .relaxed)
      }
    }
    if isDurable {
      // A commit that wrote nothing did not wait for stable storage.
      if !hasWritten { try syncCommits(&state, database) }
      state.isDirty = false
      state.named = []
    } else if hasWritten {
      state.isDirty = true
      state.named.formUnion(effects.flatMap(\.asked).filter(copies.unsynced.contains))
    }
    if state.isDirty || state.logBytes > Self.checkpointBytes { flushSoon() }
  }

  /// Brings the commits so far, and before them the copies that they name, to stable storage.
  func syncCommits(_ state: inout WriterState, _ database: NamespaceDatabase) throws(DFSError) {
    guard state.isDirty else { return }
    copies.unsynced.sync(Array(state.named))
    CrashPoint.reached(.namedSynced)
    do {
      try database.syncLog()
    } catch {
      fail(error)
      throw error
    }
    CrashPoint.reached(.logSynced)
    state.isDirty = false
    state.named = []
  }

  // MARK: What is no change of the namespace

  /// Writes what need not survive a loss of power. The log grows by it like by any other.
  func write<Value>(
    _ state: inout WriterState, _ database: NamespaceDatabase, _ body: (Database) throws -> Value
  ) throws -> Value {
    try guarding(&state) { state in
      let value = try database.pool.writeWithoutTransaction { db in
        try database.setDurable(false, db)
        let value = try body(db)
        state.logBytes += try NamespaceDatabase.loggedBytes(db)
        return value
      }
      if state.logBytes > Self.checkpointBytes { flushSoon() }
      return value
    }
  }

  // MARK: Failure

  /// Runs `body`; an error that leaves the database untrusted is remembered.
  func guarding<Value>(
    _ state: inout WriterState, _ body: (inout WriterState) throws -> Value
  ) throws -> Value {
    do {
      return try body(&state)
    } catch {
      if Self.isFatal(error) { fail(.database(error, handle.path)) }
      throw error
    }
  }

  /// A failed fsync (it is never tried again: what it should have written may be gone) and a
  /// damaged database.
  private static func isFatal(_ error: any Error) -> Bool {
    if let error = error as? DFSError { return error.code == .damaged }
    guard let error = error as? DatabaseError else { return false }
    switch error.extendedResultCode {
    case .SQLITE_IOERR_FSYNC, .SQLITE_IOERR_DIR_FSYNC: return true
    default: return error.isDamage
    }
  }

  /// Nothing is served from the database any more, until the server is started again: it is damaged,
  /// or what it was told to keep may not be on the disk.
  func fail(_ error: DFSError) {
    let failure = failure(of: error)
    guard publisher.fail(failure) else { return }
    logger.critical(
      "this user is not served any more", metadata: ["error": "\(failure)"])
  }

  private func failure(of error: DFSError) -> DFSError {
    if error.tellsRemedy { return error }
    if error.code == .damaged { return .damagedDatabase(handle.path, error) }
    return DFSError(
      error.code,
      "the database \(handle.path) failed and is not used any more; see to the disk, then start the "
        + "server again: \(error)")
  }
}

extension Effect {
  /// Whether rows may ask for copies that did not come with them.
  fileprivate var mayWant: Bool { asked.count > held.count + inlineCount }

  fileprivate var isAppend: Bool { if case .applied = reply { true } else { false } }

  /// What the server has come to when this is committed.
  fileprivate var crashPoint: CrashPoint? {
    switch reply {
    case .promised: .promiseCommitted
    case .installed: .installCommitted
    case .applied: .changeCommitted
    default: nil
    }
  }
}
