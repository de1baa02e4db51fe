internal import DFSClient
internal import DFSCore
internal import DFSSystem
internal import Logging
internal import Synchronization

/// Publishing an open file: what close and fsync mean.
extension OpenFile {
  /// Hashing more than this takes more than some seconds, which is worth a line. Bytes.
  private static let longBytes: UInt64 = 4 << 30

  private struct Work: Sendable {
    let spool: Spool
    /// The spool has changes: it is not only to be brought to stable storage.
    let isNew: Bool
    let modified: Timestamp
    let changed: Timestamp
    let attributes: AttributeChange
    /// `State.learned` when it began.
    let learned: UInt64

    init(_ spool: Spool, isNew: Bool, of state: State) {
      self.spool = spool
      self.isNew = isNew
      modified = state.modified
      changed = state.changed
      attributes = state.deferred
      learned = state.learned
    }
  }

  /// Makes the spool the file's version, if there is anything that is not in it.
  /// - Parameters:
  ///   - durable: until it is on stable storage.
  ///   - onlyNew: not what was already tried in vain. What is still being done with the file, though
  ///     who asked for it was answered before its end (he was killed, or it took too long), is waited
  ///     for, and only then judged.
  ///   - keepsRemoved: if another client removed the file, the content becomes one of its own.
  func publish(
    durable: Bool, onlyNew: Bool = false, keepsRemoved: Bool = true,
    progress: @escaping @Sendable () -> Void
  ) async throws {
    let isNeeded = state.withLock { $0.needsPublish(durable: durable, onlyNew: false) }
    guard isNeeded || onlyNew && lock.isTaken else { return try throwFailure() }
    try await lock.alone(progress) {
      try self.throwFailure()
      guard let work = self.beginPublish(durable: durable, onlyNew: onlyNew) else {
        if durable, !onlyNew { try await self.syncBelow() }
        return
      }
      if !work.isNew, try await self.sync() { return }
      let (content, form) = try await self.content(of: work, progress)
      if content.md5 == nil, content.size > Self.longBytes {
        self.context.logger.notice(
          "storing \(self.name): the MD5 of \(content.size) bytes, holes included, is taken first")
      }
      // An empty content is none to be kept.
      let keeps = keepsRemoved && work.isNew && work.spool.size > 0
      do {
        let target = PublishTarget.inode(
          self.target, modified: work.modified, changed: work.changed,
          attributes: work.attributes, opened: self.opened(keepsRemoved: keeps))
        let service = self.context.service
        let shared = work.isNew ? work.spool.shared : nil
        let published =
          if let (version, file) = shared {
            Published(try await service.share(version, of: file, to: target, durable: durable))
          } else {
            try await service.publish(content, as: form, to: target, durable: durable) { _ in
              progress()
              self.lock.noteProgress()
            }
          }
        self.endPublish(published.inode, work, durable: durable)
        if published.isMoved { self.goOnBehindOthers(published.inode) }
        let isAll = if case .whole = form { !published.isMoved } else { false }
        self.state.withLock { state in
          // Another file's is perhaps volatile.
          if shared != nil || isAll { state.isVolatileBelow = shared != nil }
        }
        if durable { try await self.syncBelow() }
      } catch let error as DFSError where error.code == .staleHandle {
        self.endRemoved(work, byThisMount: keeps)
      } catch {
        throw self.failed(DFSError(anyError: error), work.spool.size)
      }
    }
    // With the lock given back, for what is written through a mapping is taken from the pages then.
    await dropOldPages()
  }

  /// Gives a file that never had a name its first one, with what was written so far, in one change.
  func publish(
    as name: FileName, in parent: InodeID, progress: @escaping @Sendable () -> Void
  ) async throws -> Inode {
    try await lock.alone(progress) {
      let (inode, attributes, work) = self.state.withLock { state in
        let spool = state.name == .temporary ? state.spool : nil
        return (
          state.inode, state.attributes, spool.map { Work($0, isNew: true, of: state) }
        )
      }
      guard let work else { throw DFSError(.exists, "the file was given a name meanwhile") }
      let target = PublishTarget.nameless(
        inode, attributes, modified: work.modified, parent: parent, name)
      let (content, form) = try await self.content(of: work, progress)
      let made = try await self.context.service.publish(
        content, as: form, to: target, durable: false
      ) { _ in
        progress()
        self.lock.noteProgress()
      }
      self.state.withLock { state in
        state.name = .named
        state.attributes = [:]
      }
      self.endPublish(made.inode, work, durable: false)
      return made.inode
    }
  }

  /// What is stored: what was written since the last time, or, where that is little less, all of it.
  private func content(
    of work: Work, _ progress: @escaping @Sendable () -> Void
  ) async throws -> (any ContentSource, PublishForm) {
    let (spool, policy) = (work.spool, context.layers)
    let isMerged = context.locks?.isShared(target) ?? false
    let form: PublishForm
    if !work.isNew {
      form = .whole()
    } else if spool.isInMemory {
      form = try spool.form(policy, isMerged: isMerged)
    } else {
      form = try await DiskQueue.run { () throws(DFSError) in
        try spool.form(policy, isMerged: isMerged)
      }
    }
    if case .layer(let patch) = form { return (SpoolPatch(of: spool, patch.extents), form) }
    let whole = await SpoolContent(of: spool, from: context.service) {
      progress()
      self.lock.noteProgress()
    }
    return (whole, form)
  }

  private var base: Version? { state.withLock { $0.base } }

  /// Brings what was published to stable storage.
  /// - Returns: false if that must be tried by storing it again.
  private func sync() async throws -> Bool {
    guard let base else { return false }
    do {
      try await context.service.sync(base)
    } catch {
      if try await syncNewer(than: base) { return true }
      context.logger.warning(
        "what is stored of \(name) could not be brought to stable storage: it is stored again",
        metadata: ["cause": "\(error)"])
      return false
    }
    state.withLock { $0.noteSynced(base) }
    return true
  }

  /// What others have published since is over what was published here, or in its place, and must not be stored over.
  /// - Returns: whether there is such, which is on stable storage now.
  private func syncNewer(than base: Version) async throws -> Bool {
    do {
      let current = try await context.service.inode(target, .current).version
      guard let current, current.id != base.id else { return false }
      try await context.service.sync(current)
    } catch let error as DFSError where error.isAbsence {
      return false
    } catch {
      let error = DFSError(anyError: error)
      state.withLock { $0.failPublish(error) }
      throw error
    }
    state.withLock { $0.noteSynced(base) }
    return true
  }

  /// Brings what was published here before to stable storage, with all that is in the version now.
  private func syncBelow() async throws {
    guard let version = state.withLock({ $0.isVolatileBelow ? $0.base : nil }) else { return }
    try await context.service.sync(version)
    state.withLock { $0.noteSynced(version) }
  }

  /// Whether all that is to be published is that the file is empty.
  var isOnlyEmptied: Bool {
    state.withLock { $0.isDirty && $0.finalFailure == nil && $0.size == 0 }
  }

  private func throwFailure() throws(DFSError) {
    if let failure = state.withLock({ $0.finalFailure }) { throw failure }
  }

  private func beginPublish(durable: Bool, onlyNew: Bool) -> Work? {
    state.withLock { state in
      guard let (spool, isNew) = state.beginPublish(durable: durable, onlyNew: onlyNew) else {
        return nil
      }
      return Work(spool, isNew: isNew, of: state)
    }
  }

  /// The file is gone, and so is what was written to it: as on a local disk.
  private func endRemoved(_ work: Work, byThisMount: Bool) {
    if byThisMount { markRemoved() } else { markLost(target) }
    state.withLock { state in
      state.deferred = .nothing
      state.content = .published(work.spool, .stable)
    }
  }

  private func endPublish(_ inode: Inode, _ work: Work, durable: Bool) {
    if inode.id != target {
      context.logger.warning(
        "another client removed \(name): what was written is kept beside it, as a conflict")
    }
    context.kernel.notePublished(
      inode.version?.id, id, target: inode.id, state.withLock { $0.pages })
    state.withLock { state in
      let old = state.name
      state.goOn(in: inode.id, own: id)
      state.deferred = .nothing
      if state.name != old || state.learned == work.learned { state.learn(inode, as: id) }
      state.inode.version = inode.version
      state.inode.modified = inode.modified
      state.base = inode.version
      state.content = .published(work.spool, durable ? .stable : .volatile(nil))
    }
    if let version = inode.version, work.spool.lie(over: version) { hold(only: version) }
  }

  /// What was appended here lies behind what others appended: the spool has it elsewhere.
  private func goOnBehindOthers(_ inode: Inode) {
    state.withLock { state in
      context.kernel.noteGoingOn(id)
      // Its writers go on, past the pages or through them.
      let pages = state.pages
      state.goOn(with: inode, as: id)
      state.pages = pages
    }
    if let version = inode.version { hold(only: version) }
  }

  /// One line that says which servers and why.
  private func failed(_ error: DFSError, _ size: UInt64) -> DFSError {
    state.withLock { $0.failPublish(error) }
    if error.code == .locksLost { cutOff(error) }
    context.refusals.log(
      .error, "could not store \(name), \(size) bytes: \(error)",
      metadata: ["inode": "\(id)", "error": "\(error.code.rawValue)"])
    return error
  }

  /// What the local content began from.
  private func opened(keepsRemoved: Bool) -> OpenedVersion? {
    place.map { place in
      let (base, inode) = state.withLock { ($0.base, $0.inode) }
      let attributes = NewInode(
        kind: .regular, mode: inode.mode, owner: inode.owner, group: inode.group)
      return OpenedVersion(
        version: base?.id, parent: place.parent, name: place.name, host: context.host,
        attributes: keepsRemoved ? attributes : nil)
    }
  }

  /// The path for people.
  var name: String {
    place.map { "'\(context.nodes.path(of: $0).printable)'" } ?? context.nodes.shownPath(of: id)
  }

  /// Whether no version of this file was ever published: then its entry should not stay.
  var wasNeverPublished: Bool { state.withLock { $0.base == nil && $0.isDirty } }

  /// Without the locks that it was made under it would replace what others write under theirs.
  func cutOff(_ error: DFSError) {
    state.withLock { $0.cutOff(error) }
    // What is read through the kernel's pages is not heard of.
    Task { await context.kernel.dropPages(of: id) }
  }

  /// The entry was removed again, since its content could not be stored.
  func giveUp(_ error: DFSError) { state.withLock { $0.giveUp(error) } }
}
