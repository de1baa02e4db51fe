public import DFSCore
internal import Synchronization

/// The namespace of the file service.
extension DFSClient {
  // MARK: Reading

  /// - Throws: `staleHandle` if there is no such inode (any more).
  public func inode(_ id: InodeID, _ freshness: Freshness) async throws -> Inode {
    try await namespace.inode(id, freshness)
  }

  public func lookup(
    _ parent: InodeID, _ name: FileName, _ freshness: Freshness
  ) async throws -> Inode {
    try await namespace.lookup(parent, name, freshness)
  }

  public func list(
    _ directory: InodeID, _ freshness: Freshness
  ) async throws -> [DirectoryItem] {
    try await namespace.list(directory, freshness)
  }

  public func extendedAttributes(_ inode: InodeID) async throws -> [AttributeName: [UInt8]] {
    var all = try await namespace.attributes(inode, .pushed)
    all[LockRow.name] = nil
    return all
  }

  public func forget(_ id: InodeID) { namespace.cache.forget(id) }

  // MARK: Changing

  public func create(
    _ parent: InodeID, _ name: FileName, _ new: NewInode
  ) async throws -> Inode {
    try await namespace.transact { try await $0.create(parent, name, new) }
  }

  @discardableResult
  public func unlink(_ parent: InodeID, _ name: FileName) async throws -> Inode {
    try await removals.during { noted in
      try await namespace.transact { change in
        let inode = try await change.unlink(parent, name)
        noted.set(inode)
        return inode
      }
    }
  }

  public func discard(_ parent: InodeID, _ name: FileName, _ inode: InodeID) async throws {
    try await namespace.transact(policy: .quorum) { change in
      guard let found = try await change.child(parent, name), found.id == inode,
        found.version == nil
      else { return }
      _ = try await change.unlink(parent, name)
    }
  }

  @discardableResult
  public func removeDirectory(_ parent: InodeID, _ name: FileName) async throws -> Inode {
    try await namespace.transact { try await $0.removeDirectory(parent, name) }
  }

  @discardableResult
  public func rename(
    _ parent: InodeID, _ name: FileName, to newParent: InodeID, _ newName: FileName,
    _ mode: RenameMode
  ) async throws -> Renamed {
    try await removals.during { noted in
      try await namespace.transact { change in
        let renamed = try await change.rename(parent, name, to: newParent, newName, mode)
        let isReplaced = mode == .replace && renamed.other?.id != renamed.moved.id
        noted.set(isReplaced ? renamed.other : nil)
        return renamed
      }
    }
  }

  public func link(
    _ inode: InodeID, to parent: InodeID, _ name: FileName
  ) async throws -> Inode {
    try await namespace.transact { try await $0.link(inode, to: parent, name) }
  }

  public func reserveInode() async throws -> InodeID {
    try await namespace.transact { $0.reserveInode() }
  }

  public func setAttributes(
    _ inode: InodeID, _ attributes: AttributeChange
  ) async throws -> Inode {
    try await namespace.transact { try await $0.setAttributes(inode, attributes) }
  }

  public func setExtendedAttribute(
    _ inode: InodeID, _ name: AttributeName, _ value: [UInt8], _ mode: AttributeSetMode
  ) async throws {
    try await namespace.transact {
      try await $0.setExtendedAttribute(inode, name, value, mode)
    }
  }

  public func removeExtendedAttribute(_ inode: InodeID, _ name: AttributeName) async throws {
    try await namespace.transact { try await $0.removeExtendedAttribute(inode, name) }
  }
}

/// Which files this client removed itself: what is written to such a file afterwards is gone with it,
/// as on a local disk; what another client removed is kept. The last ones: whoever has one open here
/// is told soon.
///
/// Invariant: a removal is noted before any later change is computed.
final class OwnRemovals: Sendable {
  private static let limit = 1024

  private struct State {
    /// By changes that are under way, as they would be now.
    var underWay: [UInt64: InodeID] = [:]
    var done: [InodeID] = []
    var next: UInt64 = 0
  }

  /// One change, computed as often as it must be.
  struct Note: Sendable {
    fileprivate let removals: OwnRemovals
    fileprivate let number: UInt64

    /// - Parameter inode: what loses a name, as it was before; nil: nothing does.
    func set(_ inode: Inode?) {
      let isGone = inode.map { $0.kind != .directory && $0.links <= 1 } ?? false
      removals.state.withLock { $0.underWay[number] = isGone ? inode?.id : nil }
    }
  }

  private let state = Mutex(State())

  func contains(_ id: InodeID) -> Bool {
    state.withLock { $0.done.contains(id) || $0.underWay.values.contains(id) }
  }

  func during<Value>(_ change: (Note) async throws -> Value) async throws -> Value {
    let number = state.withLock { state in
      state.next += 1
      return state.next
    }
    do {
      let value = try await change(Note(removals: self, number: number))
      state.withLock { state in
        guard let id = state.underWay.removeValue(forKey: number) else { return }
        state.done.append(id)
        if state.done.count > Self.limit { state.done.removeFirst() }
      }
      return value
    } catch {
      state.withLock { $0.underWay[number] = nil }
      throw error
    }
  }
}
