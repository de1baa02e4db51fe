internal import DFSClient
internal import DFSCore
internal import Logging
internal import Synchronization

/// Publishing an open file: what close and fsync mean.
extension OpenFile {
  /// Hashing more than this takes more than some seconds, which is worth a line. Bytes.
  private static let longBytes: UInt64 = 4 << 30

  private struct Work: Sendable {
    let spool: Spool
    let modified: Timestamp
    let changed: Timestamp
    let changes: UInt64
    /// `State.learned` when it began.
    let learned: UInt64
  }

  /// Makes the spool the file's version, if there is anything that is not in it.
  /// - Parameters:
  ///   - durable: until it is on stable storage.
  ///   - onlyNew: not what was already tried in vain. What is still being done with the file, though
  ///     who asked for it was answered before its end (he was killed, or it took too long), is waited
  ///     for, and only then judged.
  func publish(
    durable: Bool, onlyNew: Bool = false, progress: @escaping @Sendable () -> Void
  ) async throws {
    guard needsPublish(durable: durable, onlyNew: false) || onlyNew && lane.isTaken else {
      return try throwFailure()
    }
    try await lane.alone(progress) {
      try self.throwFailure()
      guard let work = self.beginPublish(durable: durable, onlyNew: onlyNew) else { return }
      defer { self.state.withLock { $0.isPublishing = false } }
      let content = await work.spool.content()
      if content.md5 == nil, content.size > Self.longBytes {
        self.context.logger.notice(
          "storing \(self.name): the MD5 of \(content.size) bytes, holes included, is taken first")
      }
      do {
        let inode = try await self.context.service.publish(
          content,
          to: .inode(
            self.id, modified: work.modified, changed: work.changed, opened: self.opened),
          durable: durable
        ) { _ in
          progress()
          self.lane.noteProgress()
        }
        self.endPublish(inode, work, durable: durable)
      } catch {
        if let error = self.failed(DFSError(anyError: error), content.size) { throw error }
      }
    }
  }

  /// Gives a file that never had a name its first one, with what was written so far, in one change.
  func publish(
    as name: FileName, in parent: InodeID, progress: @escaping @Sendable () -> Void
  ) async throws -> Inode {
    try await lane.alone(progress) {
      let (inode, attributes, work) = self.state.withLock { state in
        let work = state.spool.map {
          Work(
            spool: $0, modified: state.modified, changed: state.changed, changes: state.changes,
            learned: state.learned)
        }
        return (state.inode, state.attributes, state.isTemporary ? work : nil)
      }
      guard let work else { throw DFSError(.exists, "the file was given a name meanwhile") }
      let target = PublishTarget.nameless(
        inode, attributes, modified: work.modified, parent: parent, name)
      let made = try await self.context.service.publish(
        await work.spool.content(), to: target, durable: false
      ) { _ in
        progress()
        self.lane.noteProgress()
      }
      self.state.withLock { state in
        state.isRemoved = false
        state.isTemporary = false
        state.attributes = [:]
      }
      self.endPublish(made, work, durable: false)
      return made
    }
  }

  /// Whether all that is to be published is that the file is empty.
  var isOnlyEmptied: Bool {
    state.withLock { $0.isDirty && $0.failure == nil && $0.spool?.size == 0 }
  }

  private func needsPublish(durable: Bool, onlyNew: Bool) -> Bool {
    state.withLock { state in
      guard !state.isRemoved, state.spool != nil else { return false }
      if onlyNew, state.changes == state.tried { return false }
      return state.changes != state.published || durable && !state.isDurable
    }
  }

  private func throwFailure() throws(DFSError) {
    if let failure = state.withLock({ $0.failure }) { throw failure }
  }

  private func beginPublish(durable: Bool, onlyNew: Bool) -> Work? {
    guard needsPublish(durable: durable, onlyNew: onlyNew) else { return nil }
    return state.withLock { state in
      guard let spool = state.spool else { return nil }
      state.tried = state.changes
      state.isPublishing = true
      return Work(
        spool: spool, modified: state.modified, changed: state.changed, changes: state.changes,
        learned: state.learned)
    }
  }

  private func endPublish(_ inode: Inode, _ work: Work, durable: Bool) {
    context.nodes.notePublished(id)
    let isPastPages = isDivided || state.withLock { $0.isWrittenPastPages }
    context.nodes.notePages(of: isPastPages ? nil : inode.version?.id, id)
    state.withLock { state in
      if state.learned == work.learned { state.inode = inode }
      state.inode.version = inode.version
      state.inode.modified = inode.modified
      state.base = inode.version
      state.published = work.changes
      state.isDurable = durable
    }
  }

  /// One line that says which servers and why.
  /// - Returns: nil if there is nothing to store any more, since the file was removed here.
  private func failed(_ error: DFSError, _ size: UInt64) -> DFSError? {
    var error = error
    if error.isAbsence {
      let isRemovedHere = state.withLock { $0.isRemoved || $0.removals > 0 }
      markRemoved()
      if isRemovedHere { return nil }
      error = DFSError(.staleHandle, "the file was removed by another client", cause: error)
    }
    state.withLock { $0.lastFailure = error }
    context.logger.error(
      "could not store \(name), \(size) bytes: \(error)",
      metadata: ["inode": "\(id)", "error": "\(error.code.rawValue)"])
    return error
  }

  /// What the local content began from.
  private var opened: OpenedVersion? {
    place.map { place in
      OpenedVersion(
        version: state.withLock { $0.base?.id }, parent: place.parent, name: place.name,
        host: context.host)
    }
  }

  /// The name for people.
  var name: String {
    place.map { "'\($0.name)' in directory \($0.parent)" } ?? "inode \(id)"
  }

  /// The name by which the kernel knows the file; or knew it, if it has let go of it, which it does
  /// before the last of what was written is stored.
  var place: NodeName? {
    let (name, isKnown) = (context.nodes.name(of: id), context.nodes.knows(id))
    return state.withLock { state in
      if isKnown { state.place = name }
      return state.place
    }
  }

  /// Whether no version of this file was ever published: then its entry should not stay.
  var wasNeverPublished: Bool {
    state.withLock { $0.base == nil && $0.changes != $0.published && !$0.isRemoved }
  }

  /// The entry was removed again, since its content could not be stored.
  func giveUp(_ error: DFSError) { state.withLock { $0.failure = error } }
}
