internal import DFSClient
internal import DFSCore
internal import DFSSystem
internal import Glibc
internal import Logging
internal import Synchronization

/// Files: opening, reading, writing, closing.
extension FileSystem {
  // MARK: Opening

  /// A new open sees every version whose close returned before it, on any mount.
  func open(
    _ id: InodeID, flags: Int32, _ caller: Caller, progress: @escaping @Sendable () -> Void
  ) async throws -> Reply {
    let writes = flags & O_ACCMODE != O_RDONLY
    if writes { try await context.checkWritable() }
    let isRead = flags & (O_WRONLY | O_TRUNC) == 0 && !kernel.mayReadPages(of: id)
    let freshness = isRead ? service.expectReading(id) : .current
    let file = try await openFile(id, freshness, caller, progress)
    if flags & O_TRUNC != 0 {
      do {
        try await file.truncate(to: 0, isChange: true, progress: progress)
      } catch {
        await close(file)
        throw error
      }
    } else if isSizeInDoubt(of: file, flags, caller), !looks.isSecond(caller) {
      looks.noteSize(of: id, forgettings: nodes.forgettings(of: id), for: caller)
      await close(file)
      return .again
    }
    return .opened(opened(file, flags: flags, caller))
  }

  func opened(_ file: OpenFile, flags: Int32, _ caller: Caller) -> Opened {
    var pages = kernel.pages(
      of: file, flags: flags, hearsReads: flags & O_ACCMODE != O_WRONLY && isAccessDue(file))
    if isSizeInDoubt(of: file, flags, caller) { pages.arePassed = true }
    let handle = handles.add(
      FileHandle(file, flags: flags, isPastPages: pages.arePassed, caller))
    if flags & O_ACCMODE != O_RDONLY { file.state.withLock { $0.writers += 1 } }
    // Whoever writes by another descriptor closes that; with locks, a close of any descriptor is told.
    let isNothingStored =
      flags & O_ACCMODE == O_RDONLY && !file.isDirty && !(locks?.isLocked(file.id) ?? false)
    return Opened(
      handle: handle, keepCache: pages.areKept, isDirect: pages.arePassed,
      isNothingStored: isNothingStored)
  }

  /// Whether who only reads might do so with the size of another version. He is made to look it up, and if even
  /// then it is not known for sure, he reads past the kernel's pages.
  private func isSizeInDoubt(of file: OpenFile, _ flags: Int32, _ caller: Caller) -> Bool {
    guard flags & O_ACCMODE == O_RDONLY,
      file.state.withLock({ $0.pages != .past && $0.writers == 0 })
    else { return false }
    return kernel.isSizeInDoubt(
      of: file, since: looks.forgettings(of: file.id, by: caller))
  }

  /// The open file of an inode as it is now, with one more handle; of one that is gone, as the call
  /// found it by its name, or as it is open here.
  func openFile(
    _ id: InodeID, _ freshness: Freshness, _ caller: Caller,
    _ progress: @escaping @Sendable () -> Void
  ) async throws -> OpenFile {
    do {
      return try await open(id, progress) { try await current(id, freshness) }
    } catch let error as DFSError where error.isAbsence {
      return try await openGone(id, caller, error, progress)
    }
  }

  /// Opens what is answered; asked again as long as the file is just being published here.
  private func open(
    _ id: InodeID, _ progress: @escaping @Sendable () -> Void, asking: () async throws -> Inode
  ) async throws -> OpenFile {
    while true {
      let mark = kernel.mark
      let inode = try await asking()
      guard inode.kind != .directory else { throw DFSError(.isDirectory, "it is a directory") }
      files[id]?.markFound()
      if let opened = files.open(inode, since: mark, context: context) {
        await opened.dropOldPages()
        return opened
      }
      try await untilPublished(id, progress)
    }
  }

  private func untilPublished(
    _ id: InodeID, _ progress: @escaping @Sendable () -> Void
  ) async throws {
    if let file = files[id], file.isPublishing { try await file.lock.alone(progress) {} }
  }

  /// The inode now; also if the kernel's name for it still means it.
  private func current(_ id: InodeID, _ freshness: Freshness) async throws -> Inode {
    guard let name = nodes.name(of: id) else { return try await service.inode(id, freshness) }
    let inode = try await service.lookup(name.parent, name.name, freshness)
    guard inode.id == id else {
      throw DFSError(.staleHandle, "'\(name.name)' is another file now")
    }
    return inode
  }

  /// The open file of an inode that the kernel's name does not mean any more.
  private func openGone(
    _ id: InodeID, _ caller: Caller, _ error: DFSError, _ progress: @escaping @Sendable () -> Void
  ) async throws -> OpenFile {
    // A file without a name may be opened again through /proc.
    if let file = files.reopen(id, if: \.isNameless) { return file }
    guard looks.isAskedAgain(id, by: caller) else { throw stale(id, caller, error) }
    do {
      // It has another name only.
      return try await open(id, progress) { try await service.inode(id, .current) }
    } catch let error as DFSError where error.isAbsence {
      files[id]?.markLost(id)
    }
    while true {
      if let file = files.reopen(id, if: { _ in true }) { return file }
      guard let found = looks.found(id, by: caller) else { throw stale(id, caller, error) }
      // Whatever was published here since it was found went with it.
      guard let opened = files.open(found.inode, since: kernel.mark, context: context) else {
        continue
      }
      opened.markLost(id)
      guard await isHeld(opened) else {
        await close(opened)
        throw stale(id, caller, error)
      }
      return opened
    }
  }

  /// Whether the servers have the content of a file that was removed, which they keep from now on.
  private func isHeld(_ file: OpenFile) async -> Bool {
    guard let version = file.state.withLock({ $0.base }) else { return true }
    await service.untilPinned()
    let contents = version.contents
    guard let copies = try? await service.copies(contents.map(\.id)) else { return true }
    return contents.allSatisfy { content in
      guard let found = copies[content.id] else { return true }
      return PartIndex.all.allSatisfy { part in
        content.split.length(of: part) == 0 || !found.holders(of: part).servers.isEmpty
      }
    }
  }

  func create(
    _ parent: InodeID, _ name: FileName, mode: UInt32, flags: Int32, _ caller: Caller,
    progress: @escaping @Sendable () -> Void
  ) async throws -> Reply {
    try await context.checkWritable()
    let new = NewInode(kind: .regular, mode: mode, caller)
    while true {
      try Task.checkCancellation()
      let mark = kernel.mark
      do {
        let inode = try await within(parent, for: caller) {
          try await service.create(parent, name, try await inheriting(parent, new))
        }
        let file = OpenFile(created: inode, context: context)
        file.notePlace(NodeName(parent: parent, name: name))
        files.add(created: file)
        let entry = await made(parent, name, inode, since: mark, caller)
        return .created(entry, opened(file, flags: flags, caller))
      } catch let error as DFSError where error.code == .exists && flags & O_EXCL == 0 {
        let place = NodeName(parent: parent, name: name)
        if let reply = try await openExisting(place, flags: flags, caller, progress) {
          return reply
        }
      }
    }
  }

  /// Another client made the file a moment ago.
  /// - Returns: nil if it is gone again, or to be asked for again.
  private func openExisting(
    _ place: NodeName, flags: Int32, _ caller: Caller, _ progress: @escaping @Sendable () -> Void
  ) async throws -> Reply? {
    let mark = kernel.mark
    let found: Inode
    do {
      found = try await service.lookup(place.parent, place.name, .current)
    } catch let error as DFSError where error.isAbsence { return nil }
    guard found.kind == .regular else {
      throw DFSError(.staleHandle, "'\(place.name)' was replaced by something that is not a file")
    }
    let lost = lostName(of: found, foundAs: place)
    // The kernel takes the attributes of this answer, whatever was written since they were true; so
    // what it knows, and may be writing, it is to look up and open: it asks again, once. Who was
    // overtaken again gets it all the same, and the kernel asks for its attributes before it uses them.
    let isKnown = nodes.knows(found.id)
    if isKnown, !looks.isSecond(caller) {
      if let lost { return .renamed(from: lost) }
      throw stale(found.id, caller, DFSError(.exists, "'\(place.name)' was made, and is in use"))
    }
    guard let file = files.open(found, since: mark, context: context) else {
      try await untilPublished(found.id, progress)
      return nil
    }
    file.notePlace(place)
    await file.dropOldPages()
    if flags & O_TRUNC != 0 {
      do {
        try await file.truncate(to: 0, isChange: true, progress: progress)
      } catch {
        await close(file)
        throw error
      }
    }
    var entry = await made(place.parent, place.name, found, since: mark, caller)
    entry.lost = lost
    entry.isForThisCall = isKnown
    return .created(entry, opened(file, flags: flags, caller))
  }

  // MARK: Closing

  /// On each close(2): stores what was written and tells what came of it. A file that was only
  /// emptied waits for its last close, and what others write, for theirs.
  @discardableResult
  func flush(
    _ handle: UInt64, _ caller: Caller, progress: @escaping @Sendable () -> Void
  ) async throws -> Reply {
    let handle = try handles.file(handle)
    let file = handle.file
    if isLeftToOthers(handle) { return .done }
    if file.isOnlyEmptied,
      caller.hasWritableDescriptor(on: file.id, mount: mountID.withLock { $0 })
    {
      return .done
    }
    // Not after it, when something may be written again.
    let hasChanged = handle.hasChanged.exchange(false, ordering: .relaxed)
    do {
      try await file.publish(durable: false, progress: progress)
    } catch {
      handle.hasChanged.store(hasChanged, ordering: .relaxed)
      if file.state.withLock({ $0.handles }) == 1 { await removeUnstored(file, error) }
      throw error
    }
    return .done
  }

  /// Whether a close stores nothing: others have the file open for writing, and by this handle nothing was written.
  private func isLeftToOthers(_ handle: FileHandle) -> Bool {
    if handle.hasChanged.load(ordering: .relaxed) { return false }
    return handle.file.state.withLock { state in
      state.writers > (handle.isForReading ? 0 : 1) && !(handle.isForBoth && state.isMapped)
    }
  }

  func sync(_ handle: UInt64, progress: @escaping @Sendable () -> Void) async throws -> Reply {
    try await handles.file(handle).file.publish(durable: true, progress: progress)
    return .done
  }

  /// The last reference to a handle is gone. What was written through a mapping after close(2) is
  /// stored now; nobody is left to be told of an error but the log. Not from a task that may be
  /// cancelled.
  @discardableResult
  func release(_ handle: UInt64, progress: @escaping @Sendable () -> Void) async -> Reply {
    guard let released = try? handles.file(handle) else { return .done }
    await lockOwners.close(handle, unlock: unlockAll)
    if !released.isForReading { released.file.state.withLock { $0.writers -= 1 } }
    await closeNow(released.file, progress)
    // Not before: whoever gives a lock back stores what was written to the files that have a handle.
    handles.removeFile(handle)
    return .done
  }

  /// To its end, whatever becomes of who asked for it.
  func close(_ file: OpenFile) async {
    await Uncancelled.run { await self.closeNow(file) {} }
  }

  private func closeNow(_ file: OpenFile, _ progress: @escaping @Sendable () -> Void) async {
    // Who has it open for writing may be in the middle of that, and closes it later.
    let isLeft = file.state.withLock { $0.writers > 0 && !$0.isMapped }
    do {
      if !isLeft { try await file.publish(durable: false, onlyNew: true, progress: progress) }
    } catch { await removeUnstored(file, error) }
    guard files.close(file) else { return }
    let reason = file.lastFailure ?? DFSError(.inputOutput, "it was never stored")
    await keepUnstored(file, reason)
    if file.wasNeverPublished { await removeUnstored(file, reason) }
    file.letGo()
  }

  /// Removes the entry of a new file whose content could not be stored, as well as it can be.
  private func removeUnstored(_ file: OpenFile, _ error: any Error) async {
    guard file.wasNeverPublished, let name = file.place else { return }
    file.giveUp(DFSError(anyError: error))
    do {
      try await service.discard(name.parent, name.name, file.id)
    } catch let error as DFSError where error.isAbsence {
      // It is gone already.
    } catch {
      keepLog.log(
        .warning, "the empty entry of \(file.name) stays: it could not be removed: \(error)")
    }
  }
}
