internal import DFSClient
internal import DFSCore
internal import Glibc
internal import Synchronization

/// Attributes, links' targets and space.
extension FileSystem {
  /// - Parameter handle: the open file through which is asked: it has the size of what it reads.
  func attributes(of id: InodeID, handle: UInt64? = nil) async throws -> Reply {
    var attributes = try await currentAttributes(of: id)
    if let handle, let file = try? handles.file(handle).file, file.size != attributes.size {
      attributes.size = file.size
      attributes.isPassing = true
      attributes = told(attributes, of: file)
    }
    return .attributes(attributes)
  }

  func currentAttributes(of id: InodeID) async throws -> Attributes {
    let mark = mark
    do {
      let current = try await settled(try await service.inode(id, .pushed), since: mark)
      if id == .root { lastRoot.withLock { $0 = current } }
      return current
    } catch let error as DFSError where id == .root && error.code == .serversMissing {
      // So that df and ls -d work on a mount whose servers are all away.
      guard let known = lastRoot.withLock({ $0 }) else { throw error }
      return known
    } catch let error as DFSError where error.isAbsence {
      // Removed, and open here, or it is somebody's working directory.
      if let file = files[id] {
        file.markRemoved()
        return file.ownAttributes
      }
      guard let inode = nodes.removed(id) else {
        throw DFSError(.staleHandle, "inode \(id) is gone", cause: error)
      }
      return Attributes(inode)
    }
  }

  /// - Parameter handle: the open file, for ftruncate(2); without one a new size is published here.
  func setAttributes(
    of id: InodeID, _ request: AttributeRequest, handle: UInt64?,
    progress: @escaping @Sendable () -> Void
  ) async throws -> Reply {
    if let size = request.size { try await resize(id, to: size, handle: handle, progress) }
    if request.change != AttributeChange() {
      if let file = files[id], file.state.withLock({ $0.isRemoved }) {
        return .attributes(file.change(request.change))
      }
      if let inode = nodes.changeRemoved(id, request.change) {
        return .attributes(Attributes(inode))
      }
      if request.change.accessed != nil { forgetAccess(id) }
      try await change(id, request.change, progress)
    }
    return try await attributes(of: id, handle: handle)
  }

  /// Changes attributes at the servers, and what is known of them here.
  func change(
    _ id: InodeID, _ change: AttributeChange, _ progress: @escaping @Sendable () -> Void = {}
  ) async throws {
    // A publish under way would set the time of modification back to that of its content.
    if change.modified != nil, let file = files[id], file.isDirty {
      return try await file.lane.alone(progress) { try await self.changeNow(id, change) }
    }
    try await changeNow(id, change)
  }

  private func changeNow(_ id: InodeID, _ change: AttributeChange) async throws {
    let inode = try await service.setAttributes(id, change)
    files[id]?.learn(inode, modified: change.modified)
  }

  private func resize(
    _ id: InodeID, to size: UInt64, handle: UInt64?, _ progress: @escaping @Sendable () -> Void
  ) async throws {
    if let handle {
      return try await resize(try handles.file(handle).file, to: size, progress)
    }
    try await context.checkWritable()
    let file = try await openFile(id, progress).file
    do {
      try await resize(file, to: size, progress)
    } catch {
      await close(file)
      throw error
    }
    // Nobody else will store it if the process is killed now.
    try await Uncancelled.run {
      do {
        try await file.publish(durable: false, progress: progress)
      } catch {
        await self.close(file)
        throw error
      }
      await self.close(file)
    }
  }

  /// To the size that it has moves its times all the same.
  private func resize(
    _ file: OpenFile, to size: UInt64, _ progress: @escaping @Sendable () -> Void
  ) async throws {
    let isSame = file.size == size
    try await file.truncate(to: size, isChange: true, progress: progress)
    if isSame, size > 0 { try await touch(file, progress) }
  }

  /// Moves the times of modification and change of a file whose content stays; after a publish that is
  /// under way, which would set them back.
  func touch(_ file: OpenFile, _ progress: @escaping @Sendable () -> Void) async throws {
    try await file.lane.alone(progress) { try await self.touchNow(file) }
  }

  private func touchNow(_ file: OpenFile) async throws {
    let now = Timestamp.now
    var change = AttributeChange()
    change.modified = now
    let isDirty = file.state.withLock { state in
      guard state.isDirty else { return false }
      state.modified = now
      state.changed = now
      return true
    }
    if isDirty { return }
    if file.state.withLock({ $0.isRemoved }) {
      _ = file.change(change)
      return
    }
    let inode = try await service.setAttributes(file.id, change)
    file.learn(inode, modified: now)
  }

  func target(of id: InodeID) async throws -> Reply {
    let link = try await service.inode(id, .pushed)
    noteAccess(link)
    return .target(link.target)
  }

  func statistics() async throws -> Reply { .space(try await space.report()) }
}
