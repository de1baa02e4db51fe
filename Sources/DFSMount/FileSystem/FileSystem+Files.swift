internal import DFSClient
internal import DFSCore
internal import Glibc
internal import Logging
internal import Synchronization

/// Files: opening, reading, writing, closing.
extension FileSystem {
  // MARK: Opening

  /// A new open sees every version whose close returned before it, on any mount.
  func open(_ id: InodeID, flags: Int32, progress: @escaping @Sendable () -> Void) async throws
    -> Reply
  {
    let writes = flags & O_ACCMODE != O_RDONLY
    if writes { try await context.checkWritable() }
    if flags & (O_WRONLY | O_TRUNC) == 0, !nodes.hasPages(id) { service.expectReading(id) }
    let (file, isDivided) = try await openFile(id, progress)
    if flags & O_TRUNC != 0 {
      do {
        try await file.truncate(to: 0, isChange: true, progress: progress)
      } catch {
        await close(file)
        throw error
      }
    }
    return .opened(opened(file, flags: flags, isDivided: isDivided))
  }

  /// With O_APPEND the kernel puts what is written into its pages where it believes the end to be,
  /// without asking; that may be the end of another version, so the pages of a file that was not made
  /// just now are not used.
  func opened(_ file: OpenFile, flags: Int32, isDivided: Bool) -> Opened {
    // Of what is read from the kernel's pages nothing is heard here.
    let asksAll = isDivided || flags & O_ACCMODE != O_WRONLY && isAccessDue(file)
    let version = asksAll ? nil : file.state.withLock { $0.base?.id }
    let appends = flags & O_APPEND != 0 && flags & O_ACCMODE != O_RDONLY
    let appendsPastPages = appends && !file.isNew
    if appendsPastPages { file.noteWritesPastPages() }
    let isPastPages = isDivided || appendsPastPages
    let handle = handles.add(FileHandle(file, flags: flags, isPastPages: isPastPages))
    return Opened(
      handle: handle, keepCache: nodes.keepsPages(of: version, file.id),
      isDirect: isPastPages)
  }

  /// The open file of an inode as it is now, with one more handle.
  func openFile(
    _ id: InodeID, _ progress: @escaping @Sendable () -> Void
  ) async throws -> (file: OpenFile, isDivided: Bool) {
    do {
      while true {
        let mark = nodes.mark
        let inode = try await current(id)
        guard inode.kind != .directory else { throw DFSError(.isDirectory, "it is a directory") }
        if let opened = files.open(inode, since: mark, context: context) { return opened }
        if let file = files[id], file.isPublishing { try await file.lane.alone(progress) {} }
      }
    } catch let error as DFSError where error.isAbsence {
      // A file without a name may be opened again through /proc.
      guard let file = files.reopen(removed: id) else {
        throw DFSError(.staleHandle, "inode \(id) has not that name any more", cause: error)
      }
      return (file, file.isDivided)
    }
  }

  /// The inode now; also if the kernel's name for it still means it.
  private func current(_ id: InodeID) async throws -> Inode {
    guard let name = nodes.name(of: id) else { return try await service.inode(id, .current) }
    let inode = try await service.lookup(name.parent, name.name, .current)
    guard inode.id == id else {
      throw DFSError(.staleHandle, "'\(name.name)' is another file now")
    }
    return inode
  }

  func create(
    _ parent: InodeID, _ name: FileName, mode: UInt32, flags: Int32, _ caller: Caller
  ) async throws -> Reply {
    try await context.checkWritable()
    let mark = mark
    do {
      let new = NewInode(kind: .regular, mode: mode, caller)
      let inode = try await service.create(parent, name, try await inheriting(parent, new))
      let file = OpenFile(created: inode, context: context)
      files.add(created: file)
      let entry = await made(parent, name, inode, since: mark)
      return .created(entry, opened(file, flags: flags, isDivided: false))
    } catch let error as DFSError where error.code == .exists && flags & O_EXCL == 0 {
      return try await openExisting(parent, name, flags: flags)
    }
  }

  /// Another client made the file a moment ago.
  private func openExisting(_ parent: InodeID, _ name: FileName, flags: Int32) async throws -> Reply
  {
    let mark = mark
    let inode = try await service.lookup(parent, name, .current)
    guard inode.kind == .regular else {
      throw DFSError(.staleHandle, "'\(name)' was replaced by something that is no file")
    }
    if let lost = try await lostName(of: inode, foundAs: NodeName(parent: parent, name: name)) {
      return .renamed(from: lost)
    }
    // The kernel takes the attributes of this answer, whatever was written since they were true; so
    // what it knows, and may be writing, it is to look up and open: it asks again, once.
    guard !nodes.knows(inode.id),
      let (file, isDivided) = files.open(inode, since: mark.published, context: context)
    else { throw DFSError(.staleHandle, "'\(name)' was made, and is in use") }
    do {
      if flags & O_TRUNC != 0 { try await file.truncate(to: 0, isChange: true) {} }
    } catch {
      await close(file)
      throw error
    }
    let entry = await made(parent, name, inode, since: mark)
    return .created(entry, opened(file, flags: flags, isDivided: isDivided))
  }

  // MARK: Reading and writing

  func read(_ handle: UInt64, at offset: UInt64, count: Int) async throws -> Reply {
    let file = try handles.file(handle).file
    noteAccess(file)
    let (spool, base) = file.state.withLock { ($0.spool, $0.base) }
    if let spool {
      return .data([
        try await DiskQueue.run { () throws(DFSError) in
          try spool.read(at: offset, count: count)[...]
        }
      ])
    }
    guard let base else { return .data([]) }
    file.noteReading(base)
    return .data(try await file.read(base, at: offset, count: count))
  }

  func write(
    _ handle: UInt64, _ bytes: [UInt8], at offset: UInt64, isWriteback: Bool, _ caller: Caller,
    progress: @escaping @Sendable () -> Void
  ) async throws -> Reply {
    let handle = try handles.file(handle)
    if !isWriteback, mustClear(handle, caller) { try await clearPrivileges(handle.file, caller) }
    let place = handle.appends && !isWriteback ? nil : offset
    return .written(try await handle.file.write(bytes, at: place, progress: progress))
  }

  // MARK: Closing

  /// On each close(2): stores what was written and tells what came of it. A file that was only
  /// emptied waits for its last close.
  @discardableResult
  func flush(
    _ handle: UInt64, _ caller: Caller, progress: @escaping @Sendable () -> Void
  ) async throws -> Reply {
    let file = try handles.file(handle).file
    if file.isOnlyEmptied,
      caller.hasWritableDescriptor(on: file.id, mount: mountID.withLock { $0 })
    {
      return .done
    }
    do {
      try await file.publish(durable: false, progress: progress)
    } catch {
      if file.state.withLock({ $0.handles }) == 1 { await removeUnstored(file, error) }
      throw error
    }
    return .done
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
    if let handle = handles.removeFile(handle) { await closeNow(handle.file, progress) }
    return .done
  }

  /// To its end, whatever becomes of who asked for it.
  func close(_ file: OpenFile) async {
    await Uncancelled.run { await self.closeNow(file) {} }
  }

  private func closeNow(_ file: OpenFile, _ progress: @escaping @Sendable () -> Void) async {
    do {
      try await file.publish(durable: false, onlyNew: true, progress: progress)
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
      logger.warning("the empty entry of \(file.name) stays: it could not be removed: \(error)")
    }
  }
}
