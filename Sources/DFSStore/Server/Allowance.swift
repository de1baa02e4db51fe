internal import DFSCore
internal import DFSSystem
internal import Synchronization

/// What a user may take of this server: the quota that the users file gives, and of the disk all but a
/// twentieth, which is kept for databases: a change that frees space must find some itself.
final class Allowance: Sendable {
  /// The part of a disk that copies leave free.
  private static let keptPart: UInt64 = 20

  private let quota = Mutex<UInt64?>(nil)

  /// Bytes; nil: no quota.
  var quotaBytes: UInt64? {
    get { quota.withLock { $0 } }
    set { quota.withLock { $0 = newValue } }
  }

  /// - Parameter used: what the user's copies and tables take.
  /// - Throws: `quotaExceeded` if `bytes` more are over the quota.
  func require(_ bytes: UInt64, used: UInt64) throws(DFSError) {
    guard let quota = quotaBytes, used + bytes > quota else { return }
    throw DFSError(
      .quotaExceeded,
      "\(bytes) bytes more than the \(used) that are used on this server are over the quota of \(quota); "
        + "remove files (what was replaced goes a minute later), or have the quota raised")
  }

  /// - Throws: `noSpace` if copies may take no more of the disk that has `directory`.
  func requireDisk(_ bytes: UInt64, at directory: String) throws(DFSError) {
    let space = try Disk.space(at: directory)
    let kept = space.total / Self.keptPart
    guard space.available < kept + bytes else { return }
    throw DFSError(
      .noSpace,
      "no space left for files: \(space.available) bytes are free on the disk of this server, and "
        + "\(kept) of it are kept for databases; make room there")
  }

  /// The space as this user sees it.
  func report(at directory: String, used: UInt64, inodes: UInt64) throws(DFSError) -> SpaceReport {
    let space = try Disk.space(at: directory)
    let kept = space.total / Self.keptPart
    let available = space.available - min(kept, space.available)
    let quota = quotaBytes ?? .max
    return SpaceReport(
      total: min(space.total, quota), available: min(available, quota - min(used, quota)),
      used: used,
      inodes: inodes)
  }
}

extension UserStore {
  /// Sets the quota; nil: none.
  public func setQuota(_ bytes: UInt64?) { copies.allowance.quotaBytes = bytes }

  /// Whether a piece of a copy may come: the first one says how long the whole is.
  func requireRoom(for extent: PartExtent, _ count: Int) async throws {
    let isFirst = extent.offset == 0
    let copies = copies
    guard copies.allowance.quotaBytes != nil else {
      guard isFirst || extent.offset.isMultiple(of: 16 << 20) else { return }
      return try await queues.bulk.run {
        try copies.allowance.requireDisk(UInt64(count), at: copies.directory)
      }
    }
    let sessions = sessions
    let database = try await read { try NamespaceDatabase.usedBytes($0) }
    try await queues.bulk.run {
      try copies.countOnce()
      let used = copies.usedBytes + database + sessions.uploadedBytes
      try copies.allowance.require(isFirst ? extent.length : UInt64(count), used: used)
      try copies.allowance.requireDisk(UInt64(count), at: copies.directory)
    }
  }

  /// All that a user has staged at a time may be as much as the rows of one who has only rows.
  func requireRoom(forStaged bytes: Int) throws(DFSError) {
    let staged = sessions.stagedBytes
    try copies.allowance.require(UInt64(bytes), used: staged - staged / 8)
  }
}
