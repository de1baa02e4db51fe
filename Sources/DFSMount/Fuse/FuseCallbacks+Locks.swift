internal import CFuse
internal import DFSCore
internal import Glibc

/// The callbacks of libfuse that concern locks; only where the mount has them (`FuseCallbacks.negotiate`).
extension FuseCallbacks {
  static func addLocks(_ table: inout fuse_lowlevel_ops) {
    table.getlk = { request, id, info, lock in
      guard let wanted = FuseCallbacks.lock(lock, info) else { return }
      FuseCallbacks.serve(request, .getlk) { files, _ in
        try await files.findLock(InodeID(id), wanted)
      }
    }
    table.setlk = { request, id, info, lock, waits in
      guard let wanted = FuseCallbacks.lock(lock, info), let kind = lock?.pointee.l_type,
        let handle = info?.pointee.fh
      else { return }
      FuseCallbacks.serve(request, waits != 0 ? .setlkw : .setlk) { files, call in
        try await files.setLock(
          InodeID(id), handle, wanted, kind: Int32(kind), waits: waits != 0, call.caller)
      }
    }
    table.flock = { request, id, info, operation in
      guard let handle = info?.pointee.fh, let owner = info?.pointee.lock_owner else { return }
      let kind =
        switch operation & ~LOCK_NB {
        case LOCK_EX: F_WRLCK
        case LOCK_SH: F_RDLCK
        default: F_UNLCK
        }
      let waits = operation & LOCK_NB == 0 && kind != F_UNLCK
      let wanted = FileLock(
        FileLock.Owner(.whole, owner), 0 ... .max, isExclusive: kind == F_WRLCK)
      FuseCallbacks.serve(request, waits ? .setlkw : .setlk) { files, call in
        try await files.setLock(
          InodeID(id), handle, wanted, kind: kind, waits: waits, call.caller)
      }
    }
  }

  private static func lock(
    _ lock: UnsafeMutablePointer<flock>?, _ info: UnsafeMutablePointer<fuse_file_info>?
  ) -> FileLock? {
    guard let lock = lock?.pointee, let owner = info?.pointee.lock_owner else { return nil }
    let first = UInt64(max(0, lock.l_start))
    let last = lock.l_len == 0 ? UInt64.max : first + UInt64(max(1, lock.l_len)) - 1
    return FileLock(
      FileLock.Owner(.ranges, owner), first...last, isExclusive: Int32(lock.l_type) == F_WRLCK,
      process: lock.l_pid)
  }
}
