internal import CFuse
internal import DFSCore
internal import Glibc

/// libfuse's table of operations: each entry copies its arguments, for they live only as long as
/// the call, and hands them to `KernelRequests.serve`. What is absent is answered by libfuse or the
/// kernel itself.
enum FuseCallbacks {
  static var table: fuse_lowlevel_ops {
    var table = fuse_lowlevel_ops()
    table.`init` = { data, connection in
      guard let connection, let data else { return }
      let session = Unmanaged<FuseSession>.fromOpaque(data).takeUnretainedValue()
      FuseCallbacks.negotiate(
        &connection.pointee, withLocks: session.requests.fileSystem.locks != nil)
    }
    addNames(&table)
    addLinks(&table)
    addAttributes(&table)
    addFiles(&table)
    addRanges(&table)
    addLocks(&table)
    addDirectories(&table)
    return table
  }

  private static func negotiate(_ connection: inout fuse_conn_info, withLocks: Bool) {
    connection.max_write = 1 << 20
    connection.max_readahead = 1 << 20
    connection.max_background = 64
    connection.time_gran = 1
    // `KernelCache` says when pages are old, at open.
    connection.want &= ~UInt32(FUSE_CAP_AUTO_INVAL_DATA)
    let wanted =
      UInt32(FUSE_CAP_EXPLICIT_INVAL_DATA) | UInt32(FUSE_CAP_ATOMIC_O_TRUNC)
      | UInt32(FUSE_CAP_ASYNC_READ) | UInt32(FUSE_CAP_PARALLEL_DIROPS)
      | UInt32(FUSE_CAP_READDIRPLUS) | UInt32(FUSE_CAP_READDIRPLUS_AUTO)
      | UInt32(FUSE_CAP_CACHE_SYMLINKS) | UInt32(FUSE_CAP_EXPORT_SUPPORT)
    connection.want |= wanted & connection.capable
    // Without them the kernel keeps locks by itself.
    let locks = UInt32(FUSE_CAP_POSIX_LOCKS) | UInt32(FUSE_CAP_FLOCK_LOCKS)
    connection.want &= ~locks
    if withLocks { connection.want |= locks & connection.capable }
  }

  /// The session that a request belongs to.
  static func session(_ request: fuse_req_t?) -> FuseSession? {
    guard let request, let data = fuse_req_userdata(request) else { return nil }
    return Unmanaged<FuseSession>.fromOpaque(data).takeUnretainedValue()
  }

  static func serve(
    _ request: fuse_req_t?, _ operation: Operation, about subject: KernelRequest.Subject? = nil,
    _ body: @escaping @Sendable (FileSystem, KernelRequest) async throws -> Reply
  ) {
    guard let request, let session = session(request) else { return }
    session.requests.serve(
      RawRequest(pointer: request, answers: session.answers), operation, about: subject, body)
  }

  /// - Returns: false if it cannot be answered on this thread, and is to be served.
  static func answerNow(
    _ request: fuse_req_t?, _ operation: Operation, about subject: KernelRequest.Subject? = nil,
    _ body: (FileSystem, RawRequest) throws(DFSError) -> Reply?
  ) -> Bool {
    guard let request, let session = session(request) else { return true }
    let raw = RawRequest(pointer: request, answers: session.answers)
    return session.requests.answerNow(raw, operation, about: subject) { files throws(DFSError) in
      try body(files, raw)
    }
  }

  /// A name, copied; the kernel's are never empty and have no '/'.
  static func name(_ text: UnsafePointer<CChar>?) -> Result<FileName, DFSError> {
    Result { () throws(DFSError) in try FileName(bytes(text)) }
  }

  static func bytes(_ text: UnsafePointer<CChar>?) -> [UInt8] {
    guard let text else { return [] }
    return Array(UnsafeRawBufferPointer(start: text, count: strlen(text)))
  }
}

extension FuseCallbacks {
  fileprivate static func addNames(_ table: inout fuse_lowlevel_ops) {
    table.lookup = { request, parent, name in
      let bytes = FuseCallbacks.bytes(name)
      FuseCallbacks.serve(request, .lookup) { files, request in
        if let wanted = WantedByNumber(name: bytes) {
          return try await files.lookup(wanted, of: InodeID(parent), request.caller)
        }
        return try await files.lookup(InodeID(parent), FileName(bytes), request.caller)
      }
    }
    table.forget = { request, id, count in
      FuseCallbacks.session(request)?.requests.fileSystem.forget(InodeID(id), count)
      fuse_reply_none(request)
    }
    table.forget_multi = { request, count, list in
      let nodes = UnsafeBufferPointer(start: list, count: count)
      for node in nodes {
        FuseCallbacks.session(request)?.requests.fileSystem.forget(InodeID(node.ino), node.nlookup)
      }
      fuse_reply_none(request)
    }
    table.mkdir = { request, parent, name, mode in
      let name = FuseCallbacks.name(name)
      FuseCallbacks.serve(
        request, .mkdir, about: .name(InodeID(parent), name)
      ) { files, request in
        try await files.makeDirectory(
          InodeID(parent), name.get(), mode: mode, request.caller)
      }
    }
    table.mknod = { request, parent, name, mode, device in
      let name = FuseCallbacks.name(name)
      FuseCallbacks.serve(
        request, .mknod, about: .name(InodeID(parent), name)
      ) { files, request in
        try await files.makeNode(
          InodeID(parent), name.get(), mode: mode, device: UInt64(device), request.caller)
      }
    }
    table.symlink = { request, target, parent, name in
      let name = FuseCallbacks.name(name)
      let target = FuseCallbacks.bytes(target)
      FuseCallbacks.serve(
        request, .symlink, about: .name(InodeID(parent), name)
      ) { files, request in
        try await files.makeLink(InodeID(parent), name.get(), target: target, request.caller)
      }
    }
  }

  /// Calls about names of what is there.
  fileprivate static func addLinks(_ table: inout fuse_lowlevel_ops) {
    table.link = { request, id, parent, name in
      let name = FuseCallbacks.name(name)
      FuseCallbacks.serve(
        request, .link, about: .name(InodeID(parent), name)
      ) { files, request in
        try await files.link(InodeID(id), to: InodeID(parent), name.get(), request.caller) {
          request.extend()
        }
      }
    }
    table.unlink = { request, parent, name in
      let name = FuseCallbacks.name(name)
      FuseCallbacks.serve(
        request, .unlink, about: .name(InodeID(parent), name)
      ) { files, request in
        try await files.unlink(InodeID(parent), name.get(), request.caller)
      }
    }
    table.rmdir = { request, parent, name in
      let name = FuseCallbacks.name(name)
      FuseCallbacks.serve(
        request, .rmdir, about: .name(InodeID(parent), name)
      ) { files, request in
        try await files.removeDirectory(InodeID(parent), name.get(), request.caller)
      }
    }
    table.rename = { request, parent, name, newParent, newName, flags in
      let name = FuseCallbacks.name(name)
      let newName = FuseCallbacks.name(newName)
      FuseCallbacks.serve(
        request, .rename, about: .name(InodeID(parent), name)
      ) { files, request in
        try await files.rename(
          InodeID(parent), name.get(), to: InodeID(newParent), newName.get(), flags: flags,
          request.caller)
      }
    }
  }
}
