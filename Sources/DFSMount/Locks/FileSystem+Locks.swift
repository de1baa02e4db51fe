internal import DFSClient
internal import DFSCore
internal import DFSSystem
internal import Glibc
internal import Synchronization

/// Locks among all mounts (`LockService`): fcntl(2), flock(2).
extension FileSystem {
  /// - Parameters:
  ///   - handle: through which it is set; locks of an open file go with it.
  ///   - kind: F_RDLCK, F_WRLCK, F_UNLCK.
  ///   - caller: has the file open.
  func setLock(
    _ id: InodeID, _ handle: UInt64, _ lock: FileLock, kind: Int32, waits: Bool, _ caller: Caller
  ) async throws -> Reply {
    guard let locks else { throw DFSError(.unsupported, "locks are the kernel's") }
    guard kind != F_UNLCK else {
      await locks.unlock(id, lock.bytes, of: lock.owner)
      return .done
    }
    let file = try handles.file(handle).file
    if let failure = file.cutOff { throw failure }
    await lockOwners.note(lock.owner, of: id, through: handle)
    try await locks.lock(id, lock, waits: waits)
    // Perhaps meanwhile: locks are had anew once nothing is left that was written under those before.
    if let failure = file.cutOff {
      await locks.unlock(id, lock.bytes, of: lock.owner)
      throw failure
    }
    await showSize(of: id, to: caller)
    return .locked(id, lock)
  }

  func findLock(_ id: InodeID, _ wanted: FileLock) async throws -> Reply {
    guard let locks else { throw DFSError(.unsupported, "locks are the kernel's") }
    return .lock(try await locks.conflict(id, with: wanted))
  }

  /// A process closes one of its descriptors: all its locks on the file go (fcntl(2)), whatever comes of storing.
  func close(
    _ handle: UInt64, of id: InodeID, by owner: UInt64, _ caller: Caller,
    progress: @escaping @Sendable () -> Void
  ) async throws -> Reply {
    let result: Result<Reply, any Error>
    do {
      result = .success(try await flush(handle, caller, progress: progress))
    } catch {
      result = .failure(error)
    }
    await unlockAll(id, FileLock.Owner(.ranges, owner))
    return try result.get()
  }

  func unlockAll(_ id: InodeID, _ owner: FileLock.Owner) async {
    await locks?.unlock(id, 0 ... .max, of: owner)
  }

  /// The process that asked for a lock got a signal before the answer.
  func unlockUndelivered(_ id: InodeID, _ lock: FileLock) {
    closing.withLock { $0 += 1 }
    Task {
      await locks?.unlock(id, lock.bytes, of: lock.owner)
      closing.withLock { $0 -= 1 }
    }
  }

  func areLocksInDoubt(_ id: InodeID) -> Bool { locks?.isInDoubt(id) ?? false }

  /// - Throws: `inputOutput` if locks on the file were lost, or may be.
  func proveLocks(_ id: InodeID) async throws {
    if areLocksInDoubt(id) { try await locks?.prove(id) }
  }
}

/// What the mount does when locks come and go.
final class LockUse: LockUser {
  private weak let files: FileSystem?

  init(_ files: FileSystem) { self.files = files }

  private func openFiles(of id: InodeID) -> [OpenFile] {
    files?.handles.openFiles(of: id).compactMap(\.unlessCutOff) ?? []
  }

  func isOpenAsSeveral(_ id: InodeID) -> Bool { openFiles(of: id).count > 1 }

  func hasUnstored(_ id: InodeID) -> Bool { openFiles(of: id).contains(where: \.isDirty) }

  func store(_ id: InodeID) async throws {
    for file in openFiles(of: id) {
      do {
        try await file.publish(durable: false) {}
      } catch {
        let error = DFSError(anyError: error)
        if error.mayPass { throw error }
        file.cutOff(error)
      }
    }
  }

  func refresh(_ id: InodeID) async throws {
    guard let files else { return }
    for file in openFiles(of: id) {
      // What is written meanwhile, under other locks of this mount, goes over what others have written.
      var isDone = false
      while !isDone {
        if Task.isCancelled { throw DFSError(.cancelled, "cancelled before the lock was there") }
        if hasUnstored(id) { try await store(id) }
        do {
          isDone = try await file.lock.alone {
            file.goOn(with: try await files.service.inode(id, .current))
          }
        } catch let error as DFSError where error.isAbsence {
          // It was removed meanwhile, and goes on here.
          isDone = true
        }
        await file.dropOldPages()
      }
    }
    files.shownSizes.doubt(id)
  }
}

extension DFSError {
  /// Whether the same may succeed later: it is for servers that do not answer, or who waited does so no more.
  fileprivate var mayPass: Bool {
    switch code {
    case .serversMissing, .timedOut, .disconnected, .superseded, .cancelled: true
    default: false
    }
  }
}
