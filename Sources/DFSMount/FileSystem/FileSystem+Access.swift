internal import DFSClient
internal import DFSCore
internal import DFSSystem
internal import Synchronization

/// Times of access, on a mount with `relatime`: reading moves one that is not later than the last
/// change, or a day old (mount(8)). Each is a change on all servers; so they are made after the
/// answer, and not by default.
extension FileSystem {
  /// Changes of times that wait for the servers; with more, a reading moves none.
  private static let accessesAtOnce = 256
  private static let dayInNanoseconds: Int64 = 86_400_000_000_000

  /// Whether a reading now moves the time of access.
  func isAccessDue(_ inode: Inode) -> Bool {
    guard movesAccessTimes else { return false }
    return inode.accessed <= max(inode.modified, inode.changed)
      || inode.accessed.nanoseconds <= Timestamp.now.nanoseconds - Self.dayInNanoseconds
  }

  func isAccessDue(_ file: OpenFile) -> Bool {
    guard movesAccessTimes else { return false }
    let (inode, isOwn) = file.state.withLock { ($0.inode, $0.isDirty || $0.isNameless) }
    return !isOwn && isAccessDue(inode)
  }

  func noteAccess(_ file: OpenFile) {
    guard isAccessDue(file) else { return }
    noteAccess(file.state.withLock { $0.inode })
  }

  func noteAccess(_ inode: Inode) {
    guard isAccessDue(inode) else { return }
    let now = Timestamp.now
    let isNew = accesses.withLock { accesses in
      guard accesses[inode.id] == nil, accesses.count < Self.accessesAtOnce else { return false }
      accesses[inode.id] = now
      return true
    }
    guard isNew else { return }
    Task {
      var change = AttributeChange()
      change.accessed = now
      change.accessedBefore = inode.accessed
      // With too few servers to write the time stays as it was: reading goes on.
      try? await self.change(inode.id, change)
      accesses.withLock { $0[inode.id] = nil }
    }
  }

  /// A time that is set counts, whatever reading is still to be told.
  func forgetAccess(_ id: InodeID) {
    if movesAccessTimes { accesses.withLock { $0[id] = nil } }
  }

  /// With the time of an access that the servers are just told.
  func withAccess(_ attributes: Attributes) -> Attributes {
    guard movesAccessTimes, let time = accesses.withLock({ $0[attributes.inode.id] }) else {
      return attributes
    }
    var attributes = attributes
    attributes.inode.accessed = max(attributes.inode.accessed, time)
    return attributes
  }
}
