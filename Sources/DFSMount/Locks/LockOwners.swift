internal import DFSCore
internal import Synchronization

/// Through which handle each owner has set locks last, so that those of an open file go with it: the kernel says so
/// only of a process's (FUSE_FLUSH).
///
/// The kernel closes a handle (FUSE_RELEASE) without waiting for that, and may give the number of its owner to the next
/// open file at once, or let a process lock the file again by another handle. What is set then is not taken away: it is
/// set once the locks of the closed handle are given back, or belongs to the other handle.
final class LockOwners: Sendable {
  private struct Key: Hashable {
    let id: InodeID
    let owner: FileLock.Owner
  }

  private struct State {
    var handles: [Key: UInt64] = [:]
    var owners: [UInt64: Set<Key>] = [:]
    var ending: [Key: Task<Void, Never>] = [:]
  }

  private let state = Mutex(State())

  /// An owner sets a lock through a handle, once this returns.
  func note(_ owner: FileLock.Owner, of id: InodeID, through handle: UInt64) async {
    let key = Key(id: id, owner: owner)
    while true {
      let ending = state.withLock { state -> Task<Void, Never>? in
        if let ending = state.ending[key] { return ending }
        if let last = state.handles.updateValue(handle, forKey: key), last != handle {
          state.owners[last]?.remove(key)
        }
        state.owners[handle, default: []].insert(key)
        return nil
      }
      guard let ending else { return }
      await ending.value
    }
  }

  /// A handle is closed: has the locks of those unlocked who used it last. Returns when they are; what is noted after
  /// the call began comes after them.
  func close(
    _ handle: UInt64, unlock: @escaping @Sendable (InodeID, FileLock.Owner) async -> Void
  ) async {
    let task = state.withLock { state -> Task<Void, Never>? in
      guard let keys = state.owners.removeValue(forKey: handle), !keys.isEmpty else { return nil }
      let task = Task {
        for key in keys {
          await unlock(key.id, key.owner)
          self.state.withLock { $0.ending[key] = nil }
        }
      }
      for key in keys {
        state.handles[key] = nil
        state.ending[key] = task
      }
      return task
    }
    await task?.value
  }
}
