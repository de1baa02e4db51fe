internal import CFuse
internal import DFSClient
internal import DFSCore
internal import Glibc

/// The callbacks of libfuse that concern open files.
extension FuseCallbacks {
  static func addFiles(_ table: inout fuse_lowlevel_ops) {
    table.create = { request, parent, name, mode, info in
      guard let flags = info?.pointee.flags else { return }
      if dfs_asks_for_tmpfile(flags) != 0 {
        FuseCallbacks.serve(
          request, "tmpfile", .change, about: .inode(InodeID(parent))
        ) { files, request in
          try await files.createTemporary(
            InodeID(parent), mode: mode, flags: flags, request.caller)
        }
        return
      }
      let name = FuseCallbacks.name(name)
      FuseCallbacks.serve(
        request, "create", .change, about: .name(InodeID(parent), name)
      ) { files, request in
        try await files.create(
          InodeID(parent), name.get(), mode: mode, flags: flags, request.caller
        ) { request.extend() }
      }
    }
    table.open = { request, id, info in
      guard let flags = info?.pointee.flags else { return }
      let kind = flags & (O_ACCMODE | O_TRUNC) == O_RDONLY ? FuseRequest.Kind.query : .change
      FuseCallbacks.serve(request, "open", kind, about: .inode(InodeID(id))) { files, request in
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
    table.flush = { request, _, info in
      guard let handle = info?.pointee.fh else { return }
      FuseCallbacks.serve(request, "close", .store, about: .handle(handle, of: nil)) {
        files, request in
        try await files.flush(handle, request.caller) { request.extend() }
      }
    }
    table.fsync = { request, _, _, info in
      guard let handle = info?.pointee.fh else { return }
      FuseCallbacks.serve(request, "fsync", .store, about: .handle(handle, of: nil)) {
        files, request in
        try await files.sync(handle) { request.extend() }
      }
    }
    table.release = { request, _, info in
      guard let handle = info?.pointee.fh else { return }
      FuseCallbacks.serve(request, "release", .end) { files, request in
        await files.release(handle) { request.extend() }
      }
    }
  }

  /// Content that is local is answered on this thread.
  private static func read(_ request: fuse_req_t?, _ handle: UInt64, _ offset: UInt64, _ size: Int)
  {
    guard let request, let session = session(request) else { return }
    do throws(DFSError) {
      let file = try session.fileSystem.handles.file(handle).file
      if let bytes = try file.readNow(at: offset, count: size) {
        session.fileSystem.noteAccess(file)
        _ = session.answers.send(.data([bytes[...]]), to: RawRequest(pointer: request))
        return
      }
    } catch {
      let number = error.errno(isChange: false)
      session.note(error, number, isChange: false, "read", .handle(handle, of: nil))
      fuse_reply_err(request, number)
      return
    }
    session.serve(request, "read", .query, about: .handle(handle, of: nil)) { files, _ in
      try await files.read(handle, at: offset, count: size)
    }
  }

  /// A write to a spool is done and answered on this thread, and hashed after the answer; only if
  /// the old version must be fetched first, or the file is just being published, is it copied.
  private static func write(
    _ request: fuse_req_t?, _ id: InodeID, _ handle: UInt64, _ bytes: UnsafeRawBufferPointer,
    _ offset: UInt64, isWriteback: Bool
  ) {
    guard let request, let session = session(request) else { return }
    do throws(DFSError) {
      let opened = try session.fileSystem.handles.file(handle)
      let place = opened.appends && !isWriteback ? nil : offset
      let clears =
        !isWriteback
        && session.fileSystem.mustClear(opened, RawRequest(pointer: request).caller)
      if !clears, let written = try opened.file.writeNow(bytes, at: place) {
        fuse_reply_write(request, written.count)
        written.unhashed?.hash(bytes)
        return
      }
    } catch {
      let number = error.errno(isChange: true)
      session.note(error, number, isChange: true, "write", .handle(handle, of: nil))
      fuse_reply_err(request, number)
      return
    }
    let copy = Array(bytes)
    session.serve(request, "write", .change, about: .handle(handle, of: id)) { files, request in
      try await files.write(
        handle, copy, at: offset, isWriteback: isWriteback, request.caller
      ) { request.extend() }
    }
  }
}
