internal import CFuse
internal import DFSCore
internal import Glibc

/// The callbacks of libfuse that concern open files.
extension FuseCallbacks {
  static func addFiles(_ table: inout fuse_lowlevel_ops) {
    table.create = { request, parent, name, mode, info in
      guard let flags = info?.pointee.flags else { return }
      if dfs_asks_for_tmpfile(flags) != 0 {
        FuseCallbacks.serve(
          request, .tmpfile, about: .inode(InodeID(parent))
        ) { files, request in
          try await files.createTemporary(
            InodeID(parent), mode: mode, flags: flags, request.caller)
        }
        return
      }
      let name = FuseCallbacks.name(name)
      FuseCallbacks.serve(
        request, .create, about: .name(InodeID(parent), name)
      ) { files, request in
        try await files.create(
          InodeID(parent), name.get(), mode: mode, flags: flags, request.caller
        ) { request.extend() }
      }
    }
    table.open = { request, id, info in
      guard let flags = info?.pointee.flags else { return }
      FuseCallbacks.serve(request, .opening(flags: flags), about: .inode(InodeID(id))) {
        files, request in
        try await files.open(InodeID(id), flags: flags, request.caller) { request.extend() }
      }
    }
    table.read = { request, _, size, offset, info in
      guard let info else { return }
      FuseCallbacks.read(request, info.pointee.fh, UInt64(max(0, offset)), size)
    }
    table.write = { request, id, buffer, size, offset, info in
      guard let info else { return }
      FuseCallbacks.write(
        request, InodeID(id), info.pointee.fh,
        UnsafeRawBufferPointer(start: buffer, count: size),
        UInt64(max(0, offset)), isWriteback: dfs_file_info_is_writeback(info) != 0)
    }
    table.flush = { FuseCallbacks.flush($0, InodeID($1), $2) }
    table.fsync = { request, _, _, info in
      guard let handle = info?.pointee.fh else { return }
      FuseCallbacks.serve(request, .fsync, about: .handle(handle, of: nil)) {
        files, request in
        try await files.sync(handle) { request.extend() }
      }
    }
    table.release = { request, _, info in
      guard let handle = info?.pointee.fh else { return }
      FuseCallbacks.serve(request, .release) { files, request in
        await files.release(handle) { request.extend() }
      }
    }
  }

  private static func flush(
    _ request: fuse_req_t?, _ id: InodeID, _ info: UnsafeMutablePointer<fuse_file_info>?
  ) {
    guard let handle = info?.pointee.fh, let owner = info?.pointee.lock_owner else { return }
    serve(request, .close, about: .handle(handle, of: nil)) { files, request in
      try await files.close(handle, of: id, by: owner, request.caller) { request.extend() }
    }
  }

  private static func read(_ request: fuse_req_t?, _ handle: UInt64, _ offset: UInt64, _ size: Int)
  {
    let subject = KernelRequest.Subject.handle(handle, of: nil)
    let isAnswered = answerNow(request, .read, about: subject) { files, _ throws(DFSError) in
      try files.readNow(handle, at: offset, count: size, RequestNumber.current)
    }
    if isAnswered { return }
    serve(request, .reading(bytes: size), about: subject) { files, request in
      try await files.read(handle, at: offset, count: size, request.caller)
    }
  }

  /// What is written on this thread is hashed after the answer; only for other threads is it copied.
  private static func write(
    _ request: fuse_req_t?, _ id: InodeID, _ handle: UInt64, _ bytes: UnsafeRawBufferPointer,
    _ offset: UInt64, isWriteback: Bool
  ) {
    let subject = KernelRequest.Subject.handle(handle, of: id)
    let number = RequestNumber.current
    @Sendable func write(by caller: Caller) -> FileSystem.WriteRequest {
      FileSystem.WriteRequest(
        handle: handle, offset: offset, isWriteback: isWriteback, caller: caller, number: number)
    }
    var written: (count: Int, unhashed: Spool.Unhashed?, stale: [Range<UInt64>])?
    let isAnswered = answerNow(request, .write, about: subject) { files, raw throws(DFSError) in
      written = try files.writeNow(bytes, as: write(by: raw.caller))
      return written.flatMap { $0.stale.isEmpty ? .written($0.count) : nil }
    }
    written?.unhashed?.hash(bytes)
    if isAnswered { return }
    if let written {
      let (count, stale) = (written.count, written.stale)
      serve(request, .write, about: subject) { files, _ in
        await files.dropStale(stale, of: try files.handles.file(handle).file)
        return .written(count)
      }
      return
    }
    let copy = Array(bytes)
    serve(request, .write, about: subject) { files, request in
      try await files.write(copy, as: write(by: request.caller)) { request.extend() }
    }
  }
}
