public import DFSCore
internal import DFSReplication
internal import DFSSystem
internal import GRDB

/// A user's copies: putting, getting, syncing and dropping.
extension UserStore {
  /// Stores a piece of a copy; pieces come in order from offset 0, the one that reaches the length
  /// completes the copy (`durable`: on stable storage, and found under its name, before this
  /// returns). A copy that is already here with the same content is a success.
  public func putPart(
    session: UInt64, _ extent: PartExtent, bytes: some Collection<UInt8> & Sendable, durable: Bool
  ) async throws {
    if sessions.isDropped(extent.id) { try await requireAsked(extent.id) }
    if try await keepSmall(extent, bytes) { return }
    let upload = try sessions.upload(session, extent, directory: copies.temporaryDirectory)
    try await upload.takeTurn(extent)
    let durable = durable || options.syncAlways
    let isComplete: Bool
    do {
      try await requireRoom(for: extent, bytes.count)
      isComplete = try await queues.bulk.run {
        try self.write(upload, extent, bytes, durable, session)
      }
    } catch {
      // Those that come after it are answered, too.
      upload.fail(error as? DFSError ?? DFSError(.inputOutput, "\(extent.id)", cause: error))
      throw error
    }
    if isComplete {
      try await found(extent.id)
      CrashPoint.reached(.copyNoted)
    }
  }

  /// Keeps a small copy that a row asks for in the database, on stable storage, as one that came with its change is
  /// kept: as a file it would take a hundred times the space.
  /// - Returns: false if it is none, or does not match its checksum; then a file is to be written, or told why not.
  private func keepSmall(
    _ extent: PartExtent, _ bytes: some Collection<UInt8>
  ) async throws -> Bool {
    guard extent.length <= UInt64(Limits.inlinePartBytes), bytes.count == Int(extent.length) else {
      return false
    }
    let bytes = Array(bytes)
    let part = InlinePart(id: extent.id, bytes: bytes, checksum: .of(bytes))
    // A file of it that is here is damaged, and in the way: it is quarantined where its place is taken.
    guard bytes.withUnsafeBytes({ BlockChecksum.blocks(of: $0) }) == extent.checksums,
      !copies.exists(part.id)
    else { return false }
    try await requireRoom(for: extent, bytes.count)
    let (writer, required) = (writer, copies.required)
    let isKept = try await writer.exclusive { state, database in
      let isKept = try writer.write(&state, database) { db in
        try Self.keep(part, CopyTables(db: db, required: required))
      }
      guard isKept else { return false }
      state.isDirty = true
      try writer.syncCommits(&state, database)
      return true
    }
    if isKept {
      sessions.unclaim(part.id)
      CrashPoint.reached(.copyNoted)
    }
    return isKept
  }

  private static func keep(_ part: InlinePart, _ tables: CopyTables) throws -> Bool {
    guard try tables.isAsked(part.id) else { return false }
    try tables.db.transaction {
      try tables.put(part)
      try tables.forgetMissing(part.id)
      try tables.forgetUnreferenced(part.id)
      return true
    }
    return true
  }

  /// A dropped copy is taken again if a row asks for it after all.
  private func requireAsked(_ id: PartID) async throws {
    let required = copies.required
    guard try await read({ try CopyTables(db: $0, required: required).isAsked(id) }) else {
      throw Sessions.wasDropped(id)
    }
    sessions.asked([id])
  }

  private func write(
    _ upload: Upload, _ extent: PartExtent, _ bytes: some Collection<UInt8>, _ durable: Bool,
    _ session: UInt64
  ) throws(DFSError) -> Bool {
    let written = bytes.withContiguousStorageIfAvailable { storage in
      Result { () throws(DFSError) in
        try write(upload, extent, UnsafeRawBufferPointer(storage), durable, session)
      }
    }
    if let written { return try written.get() }
    return try Array(bytes).withBytes { storage throws(DFSError) in
      try write(upload, extent, storage, durable, session)
    }
  }

  private func write(
    _ upload: Upload, _ extent: PartExtent, _ bytes: UnsafeRawBufferPointer, _ durable: Bool,
    _ session: UInt64
  ) throws(DFSError) -> Bool {
    let whole = try upload.write(extent, bytes)
    if let (layout, file, checksums) = whole {
      // Before the name is there, so that the collector never takes the copy for an orphan.
      sessions.completed(session, extent.id, nowSeconds: WallClock.seconds)
      try copies.complete(file, layout, checksums: checksums, durable: durable)
      if sessions.isDropped(extent.id) {
        try copies.remove([extent.id])
        throw Sessions.wasDropped(extent.id)
      }
      if !durable { writer.flushSoon() }
    }
    upload.endTurn(at: extent.offset + UInt64(bytes.count))
    return whole != nil
  }

  /// The whole blocks that cover `range`, as many as fit in one frame, verified.
  /// - Throws: `notFound` if the copy is not here, `damaged` if it is not what was stored,
  ///   `inputOutput` if the disk does not give it.
  public func getPart(
    _ id: PartID, range: Range<UInt64>
  ) async throws -> (extent: PartExtent, bytes: [UInt8]) {
    let copies = copies
    return try await noting(id) {
      if let found = try await queues.bulk.run({ try copies.read(id, range: range) }) {
        return found
      }
      return try await inlinePart(id).whole
    }
  }

  /// Exactly these bytes of a part, fewer where it ends, of verified blocks: at once if they are in memory.
  /// - Parameters:
  ///   - range: of at most one block's length.
  ///   - completion: called once, on this thread or one of the store, with what was read, or what `getPart`
  ///     would throw.
  public func partBytes(
    _ id: PartID, range: Range<UInt64>,
    _ completion: @escaping @Sendable (Result<[UInt8], any Error>) -> Void
  ) {
    if let bytes = copies.bytesNow(id, range) { return completion(.success(bytes)) }
    let (copies, life) = (copies, SessionLife.current)
    queues.bulk.submit {
      let result = Result {
        try life?.check()
        return try copies.bytes(id, range)
      }
      if case .success(let bytes?) = result { return completion(.success(bytes)) }
      Task {
        do {
          let bytes = try await self.noting(id) {
            if let found = try result.get() { return found }
            return PartStore.cut(try await self.inlinePart(id).whole.1, from: 0, to: range)
          }
          completion(.success(bytes))
        } catch {
          completion(.failure(error))
        }
      }
    }
  }

  /// Notes a copy that proves not to be here, or not what was stored.
  private func noting<Value>(_ id: PartID, _ read: () async throws -> Value) async throws -> Value {
    do {
      return try await read()
    } catch let error as DFSError where error.code == .notFound || error.code == .damaged {
      await lost(id, because: error)
      throw error
    } catch let error as DFSError where error.code == .inputOutput && copies.exists(id) {
      await lost(id, because: DFSError(.damaged, error.message))
      throw error
    }
  }

  /// Those of these copies that are here, are small and are what was stored; of the others
  /// `getPart` says what is wrong with them.
  /// - Parameter completion: called once, on a thread of the store.
  public func smallParts(
    _ ids: [PartID], _ completion: @escaping @Sendable (Result<[InlinePart], any Error>) -> Void
  ) {
    let copies = copies
    read(
      { db in
        let tables = CopyTables(db: db, required: copies.required)
        return try ids.compactMap { id in
          let part = try tables.part(id) ?? CopyTables.retained(id, db) ?? copies.small(id)
          return part.flatMap { BlockChecksum.of($0.bytes) == $0.checksum ? $0 : nil }
        }
      }, completion)
  }

  /// A part that is kept in the database.
  private func inlinePart(_ id: PartID) async throws -> InlinePart {
    let required = copies.required
    let inline = try await read { db in
      try CopyTables(db: db, required: required).part(id) ?? CopyTables.retained(id, db)
    }
    guard let inline else {
      throw DFSError(.notFound, "part \(id) is not on this server")
    }
    return inline
  }

  /// Puts these copies on stable storage, those that are kept in the database too.
  public func syncParts(_ ids: [PartID]) async throws {
    let copies = copies
    let failed = try await queues.bulk.run { copies.unsynced.sync(ids) }
    guard failed.isEmpty else {
      throw DFSError(
        .inputOutput,
        "\(failed.count) of \(ids.count) copies could not be brought to stable storage: "
          + failed.map(\.description).joined(separator: ", "))
    }
    let writer = writer
    try await writer.exclusive { state, database in try writer.syncCommits(&state, database) }
  }

  /// Forgets uploaded copies that no row asks for, and what is under way of them.
  public func dropParts(_ ids: [PartID]) async throws {
    let (copies, sessions) = (copies, sessions)
    try await writer.exclusive { _, database in
      let unclaimed = try database.pool.snapshot { db in
        let tables = CopyTables(db: db, required: copies.required)
        return try ids.filter { try !tables.isAsked($0) && !tables.isUnreferenced($0) }
      }
      sessions.drop(unclaimed)
      try copies.remove(unclaimed)
    }
  }

  /// For each version the parts of which a copy is here.
  public func copies(_ versions: [VersionID]) async throws -> [[PartIndex]] {
    let copies = copies
    let inline = try await read { db in
      let tables = CopyTables(db: db, required: copies.required)
      return try versions.map { try tables.parts(of: $0) }
    }
    return try await queues.query.run {
      zip(versions, inline).map { version, inline in
        let files = copies.parts(of: version)
        return PartIndex.all.filter { files.contains($0) || inline.contains($0) }
      }
    }
  }

  /// The space of the file system, and what this user takes of it.
  public func space() async throws -> SpaceReport {
    let copies = copies
    let (inodes, database) = try await read { db in
      (try Ledger.load(db).inodes, try NamespaceDatabase.usedBytes(db))
    }
    return try await queues.query.run {
      try copies.countOnce()
      return try copies.allowance.report(
        at: copies.directory, used: copies.usedBytes + database, inodes: inodes)
    }
  }
}

extension InlinePart {
  /// The part as one piece, verified.
  fileprivate var whole: (PartExtent, [UInt8]) {
    get throws(DFSError) {
      guard BlockChecksum.of(bytes) == checksum else {
        throw DFSError(.damaged, "the copy of part \(id) in the database is damaged")
      }
      let checksums = bytes.withUnsafeBytes { BlockChecksum.blocks(of: $0) }
      return (
        PartExtent(id: id, length: UInt64(bytes.count), offset: 0, checksums: checksums), bytes
      )
    }
  }
}
