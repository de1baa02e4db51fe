internal import DFSClient
internal import DFSCore
internal import DFSSystem
internal import Synchronization

/// Changes of attributes: made at once, or with the content that is being written.
extension FileSystem {
  /// A file that is written for longer than this has its deferred attributes changed before.
  private static let deferringTime = Duration.seconds(1)

  /// Changes attributes at the servers, and what is known of them here; of a file that is being
  /// written, when it is published, if that comes soon.
  func change(
    _ id: InodeID, _ change: AttributeChange, _ progress: @escaping @Sendable () -> Void = {}
  ) async throws {
    guard let file = files[id] else { return try await self.change(id, nil, change) }
    if isDeferred(change, of: file) { return }
    // A publish under way would set back what it takes along.
    if file.isDirty, change.modified != nil || file.deferredChange != .nothing {
      return try await file.lock.alone(progress) {
        if !self.isDeferred(change, of: file) { try await self.change(id, file, change) }
      }
    }
    try await self.change(id, file, change)
  }

  /// The same for a file that is open: of one that was removed, here only. In the file's lock, if it
  /// sets the time of modification of what is not written.
  func change(_ file: OpenFile, _ change: AttributeChange) async throws {
    if !file.isNameless {
      if isDeferred(change, of: file) { return }
      do {
        guard file.isDirty, file.deferredChange != .nothing else {
          return try await self.change(file.id, file, change)
        }
        return try await file.lock.alone { try await self.change(file.id, file, change) }
      } catch let error as DFSError where error.isAbsence {}
    }
    _ = file.change(change)
  }

  /// Makes a change now, and what was deferred with it.
  private func change(_ id: InodeID, _ file: OpenFile?, _ change: AttributeChange) async throws {
    let target = file?.target ?? id
    // What is changed by reading has a condition of its own.
    let deferred = change.accessedBefore == nil ? file?.deferredChange ?? .nothing : .nothing
    let all = deferred == .nothing ? change : deferred.followed(by: change)
    let inode: Inode
    do {
      inode = try await service.setAttributes(target, all)
    } catch let error as DFSError where error.isAbsence {
      file?.markLost(target)
      throw error
    }
    file?.noteMade(deferred)
    file?.learn(inode, modified: change.modified)
  }

  // MARK: Deferring

  private func isDeferred(_ change: AttributeChange, of file: OpenFile) -> Bool {
    let (isDeferred, isFirst) = file.deferChange(change)
    if isFirst { watchDeferred(file.id) }
    return isDeferred
  }

  private func watchDeferred(_ id: InodeID) {
    let isWatched = deferring.withLock { ids in
      defer { ids.append(id) }
      return !ids.isEmpty
    }
    guard !isWatched else { return }
    Task {
      try? await Task.sleep(for: Self.deferringTime)
      let ids = deferring.withLock { ids in
        defer { ids = [] }
        return ids
      }
      for id in ids { await changeDeferred(id) }
    }
  }

  /// The file is still open, and will be for who knows how long: others shall see what it is.
  private func changeDeferred(_ id: InodeID) async {
    guard let file = files[id], !file.isPublishing, file.deferredChange != .nothing else { return }
    // If it fails, it is published with the content.
    try? await file.lock.alone {
      guard file.isDirty, file.deferredChange != .nothing else { return }
      // No call changes it now.
      var change = AttributeChange()
      change.asked = file.state.withLock { $0.changed }
      try await self.change(id, file, change)
    }
  }
}
