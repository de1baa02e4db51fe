internal import DFSClient
internal import DFSCore
internal import DFSSystem
internal import Glibc
internal import Synchronization

/// Attributes, links' targets and space.
extension FileSystem {
  /// - Parameter handle: the open file that is read at the end of what the kernel knows of it, or beyond; nil for
  ///   stat(2) and fstat(2), which are not told apart.
  func attributes(of id: InodeID, handle: UInt64?, _ caller: Caller) async throws -> Reply {
    guard let handle else {
      return .attributes(try await currentAttributes(of: id, caller, for: .caller(caller)))
    }
    if let reader = try? handles.file(handle) { await follow(reader, at: nil, caller) }
    return .attributes(try await kernelAttributes(of: id, handle: handle, caller))
  }

  /// Attributes that the kernel keeps.
  /// - Parameter handle: the open file through which is asked: it has the size of what it reads.
  private func kernelAttributes(
    of id: InodeID, handle: UInt64?, _ caller: Caller
  ) async throws -> Attributes {
    var attributes = try await currentAttributes(of: id, caller, for: .kernel)
    if let handle, let file = try? handles.file(handle).file, file.size != attributes.size {
      attributes = kernel.told(
        attributes.sized(file.size), of: file, paged: files.paged(file.id))
    }
    return attributes
  }

  func currentAttributes(
    of id: InodeID, _ caller: Caller, for audience: Audience
  ) async throws -> Attributes {
    let mark = kernel.mark
    do {
      let inode = try await service.inode(id, .pushed)
      if audience != .kernel { await follow(inode, caller) }
      let current = try await consistent(inode, since: mark, caller, for: audience)
      if id == .root { lastRoot.withLock { $0 = current } }
      return current
    } catch let error as DFSError where id == .root && error.code == .serversMissing {
      // So that df and ls -d work on a mount whose servers are all away.
      guard let known = lastRoot.withLock({ $0 }) else { throw error }
      return known
    } catch let error as DFSError where error.isAbsence {
      // Removed, and open here, or it is somebody's working directory.
      if let file = files[id] {
        file.markLost(id)
        return file.ownAttributes
      }
      if let inode = nodes.removed(id) { return Attributes(inode) }
      switch try remains(of: id, for: caller, error) {
      case .open(let file): return file.ownAttributes
      case .found(let inode): return Attributes(inode)
      }
    }
  }

  /// - Parameter handle: the open file, for ftruncate(2); without one a new size is published here.
  func setAttributes(
    of id: InodeID, _ request: AttributeRequest, handle: UInt64?, _ caller: Caller,
    progress: @escaping @Sendable () -> Void
  ) async throws -> Reply {
    if let size = request.size { try await resize(id, to: size, handle: handle, caller, progress) }
    if request.change != AttributeChange() {
      if let file = files[id], file.isNameless {
        return .attributes(file.change(request.change))
      }
      if let inode = nodes.changeRemoved(id, request.change) {
        return .attributes(Attributes(inode))
      }
      if request.change.accessed != nil { forgetAccess(id) }
      do {
        try await change(id, request.change, progress)
      } catch let error as DFSError where error.isAbsence {
        // Of what is removed, as on a local disk.
        switch try remains(of: id, for: caller, isByHandle: handle != nil, error) {
        case .open(let file): return .attributes(file.change(request.change))
        case .found(var inode):
          inode.perform(request.change, at: .now)
          return .attributes(Attributes(inode))
        }
      }
    }
    return .attributes(try await kernelAttributes(of: id, handle: handle, caller))
  }

  private func resize(
    _ id: InodeID, to size: UInt64, handle: UInt64?, _ caller: Caller,
    _ progress: @escaping @Sendable () -> Void
  ) async throws {
    if let handle {
      let handle = try handles.file(handle)
      handle.hasChanged.store(true, ordering: .relaxed)
      return try await resize(handle.file, to: size, progress)
    }
    try await context.checkWritable()
    let file = try await openFile(id, .current, caller, progress)
    do {
      try await resize(file, to: size, progress)
    } catch {
      await close(file)
      throw error
    }
    // What another client removed meanwhile is gone, shorter or longer.
    let isShared = file.state.withLock { $0.handles > 1 }
    // Nobody else will store it if the process is killed now.
    try await Uncancelled.run {
      do {
        try await file.publish(durable: false, keepsRemoved: isShared, progress: progress)
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
    let isSame = file.contentSize == size
    try await file.truncate(to: size, isChange: true, progress: progress)
    if isSame, size > 0 { try await touch(file, progress) }
  }

  /// Moves the times of modification and change of a file whose content stays; after a publish that is
  /// under way, which would set them back.
  func touch(_ file: OpenFile, _ progress: @escaping @Sendable () -> Void) async throws {
    try await file.lock.alone(progress) { try await self.touchNow(file) }
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
    if !isDirty { try await self.change(file, change) }
  }

  func target(of id: InodeID, _ caller: Caller) async throws -> Reply {
    let link: Inode
    do {
      link = try await service.inode(id, .pushed)
    } catch let error as DFSError where error.isAbsence {
      guard case .found(let inode) = try remains(of: id, for: caller, error) else { throw error }
      return .target(inode.target)
    }
    noteAccess(link)
    return .target(link.target)
  }

  func statistics() async throws -> Reply { .space(SpaceInBlocks(try await space.report())) }
}
