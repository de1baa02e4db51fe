internal import CFuse
internal import DFSClient
internal import DFSCore
internal import Glibc

/// The callbacks of libfuse that concern names and attributes.
extension FuseCallbacks {
  static func addAttributes(_ table: inout fuse_lowlevel_ops) {
    table.getattr = { request, id, info in
      let handle = info.map { $0.pointee.fh }
      FuseCallbacks.serve(request, "getattr", .query) { files, request in
        try await files.attributes(of: InodeID(id), handle: handle, request.caller)
      }
    }
    table.setattr = { request, id, status, set, info in
      guard let status else { return }
      let wanted = AttributeRequest(status.pointee, set)
      let handle = info.map { $0.pointee.fh }
      FuseCallbacks.serve(request, "setattr", .change, about: .inode(InodeID(id))) {
        files, request in
        try await files.setAttributes(
          of: InodeID(id), wanted, handle: handle, request.caller
        ) { request.extend() }
      }
    }
    table.readlink = { request, id in
      FuseCallbacks.serve(request, "readlink", .query) { files, request in
        try await files.target(of: InodeID(id), request.caller)
      }
    }
    table.statfs = { request, _ in
      FuseCallbacks.serve(request, "statfs", .query) { files, _ in try await files.statistics() }
    }
    addExtendedAttributes(&table)
  }

  private static func addExtendedAttributes(_ table: inout fuse_lowlevel_ops) {
    table.getxattr = { request, id, name, size in
      let name = FuseCallbacks.bytes(name)
      // So asks the kernel before each write.
      if name == FuseCallbacks.securityCapability,
        FuseCallbacks.session(request)?.fileSystem.lacksCapability(InodeID(id)) ?? false
      {
        fuse_reply_err(request, ENODATA)
        return
      }
      FuseCallbacks.serve(request, "getxattr", .query) { files, request in
        try await files.extendedAttribute(of: InodeID(id), name, limit: size, request.caller)
      }
    }
    table.listxattr = { request, id, size in
      FuseCallbacks.serve(request, "listxattr", .query) { files, request in
        try await files.extendedAttributes(of: InodeID(id), limit: size, request.caller)
      }
    }
    table.setxattr = { request, id, name, value, size, flags in
      let name = FuseCallbacks.bytes(name)
      let value = Array(UnsafeRawBufferPointer(start: value, count: size))
      FuseCallbacks.serve(request, "setxattr", .change, about: .inode(InodeID(id))) {
        files, request in
        try await files.setExtendedAttribute(
          of: InodeID(id), name, value, AttributeSetMode(flags: flags), request.caller)
      }
    }
    table.removexattr = { request, id, name in
      let name = FuseCallbacks.bytes(name)
      FuseCallbacks.serve(request, "removexattr", .change, about: .inode(InodeID(id))) {
        files, request in
        try await files.removeExtendedAttribute(of: InodeID(id), name, request.caller)
      }
    }
  }

  private static let securityCapability = Array("security.capability".utf8)
}

extension AttributeSetMode {
  /// From the flags of setxattr(2).
  fileprivate init(flags: Int32) {
    switch flags {
    case 1: self = .create
    case 2: self = .replace
    default: self = .set
    }
  }
}

extension AttributeRequest {
  /// - Parameter set: `FUSE_SET_ATTR_…`: which fields of `status` count.
  fileprivate init(_ status: stat, _ set: Int32) {
    func has(_ flag: Int32) -> Bool { set & flag != 0 }
    func time(_ given: Int32, _ now: Int32, _ value: timespec) -> Timestamp? {
      if has(now) { return .now }
      return has(given) ? Timestamp(value) : nil
    }
    if has(FUSE_SET_ATTR_SIZE) { size = UInt64(max(0, status.st_size)) }
    if has(FUSE_SET_ATTR_MODE) { change.mode = status.st_mode & 0o7777 }
    if has(FUSE_SET_ATTR_UID) { change.owner = status.st_uid }
    if has(FUSE_SET_ATTR_GID) { change.group = status.st_gid }
    change.accessed = time(FUSE_SET_ATTR_ATIME, FUSE_SET_ATTR_ATIME_NOW, status.st_atim)
    change.modified = time(FUSE_SET_ATTR_MTIME, FUSE_SET_ATTR_MTIME_NOW, status.st_mtim)
  }
}
