public import DFSCore

/// Locks of files among all clients of a user.
public protocol LockService: Sendable {
  /// Sets what does a client's part when locks come and go. Once, before the first lock.
  func serve(_ user: any LockUser)

  /// Sets a lock, in the place of what its owner has of these bytes.
  /// - Parameter waits: until it can be had, or the task is cancelled.
  /// - Throws: `wouldBlock`, `deadlock`, `noLocks` if too few servers answer, `locksLost` if those of the file were,
  ///   `cancelled`; what reading the file anew throws.
  func lock(_ id: InodeID, _ wanted: FileLock, waits: Bool) async throws
  /// Removes what an owner has of these bytes, once what was written under it is stored.
  func unlock(_ id: InodeID, _ bytes: ClosedRange<UInt64>, of owner: FileLock.Owner) async
  /// A lock that `wanted` cannot be held with (`F_GETLK`); nil if there is none.
  func conflict(_ id: InodeID, with wanted: FileLock) async throws -> FileLock?
  /// Whether an owner has any.
  func holds(_ id: InodeID, _ owner: FileLock.Owner) -> Bool

  /// Whether anybody of this client has a lock: quick.
  func isLocked(_ id: InodeID) -> Bool
  /// Whether any locks of this client's have to be proved before the file is used: quick.
  func isInDoubt(_ id: InodeID) -> Bool
  /// Proves that the locks on a file are still this client's.
  /// - Throws: `locksLost`; `inputOutput` if it cannot be told.
  func prove(_ id: InodeID) async throws
  /// Whether what is written under a lock goes over what others write at once under theirs: other clients, or other open
  /// files of this one.
  func isShared(_ id: InodeID) -> Bool
}

/// What a client does for locks.
public protocol LockUser: Sendable {
  /// Whether a file is open here at different versions, which do not show what is written to the others: quick.
  func isOpenAsSeveral(_ id: InodeID) -> Bool
  /// Whether anything was written to a file that is not stored: quick.
  func hasUnstored(_ id: InodeID) -> Bool
  /// Stores what was written to a file and is not stored, before another client gets a lock. What can never be stored
  /// is given up, for without the lock it would replace what others write: fsync and close tell.
  /// - Throws: what may pass.
  func store(_ id: InodeID) async throws
  /// Goes on with what a file has now: it may have been written under a lock of another client.
  func refresh(_ id: InodeID) async throws
}
