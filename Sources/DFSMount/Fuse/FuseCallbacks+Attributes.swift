internal import CFuse
internal import DFSCore
internal import DFSSystem
internal import Glibc

/// The callbacks of libfuse that concern names and attributes.
extension FuseCallbacks {
  static func addAttributes(_ table: inout fuse_lowlevel_ops) {
    table.getattr = { request, id, info in
      let handle = info.map { $0.pointee.fh }
      FuseCallbacks.serve(request, .getattr) { files, request in
        try await files.attributes(of: InodeID(id), handle: handle, request.caller)
      }
    }
    table.setattr = { request, id, status, set, info in
      guard let status else { return }
      let wanted = AttributeRequest(status.pointee, set)
      let handle = info.map { $0.pointee.fh }
      FuseCallbacks.serve(request, .setattr, about: .inode(InodeID(id))) {
        files, request in
        try await files.setAttributes(
          of: InodeID(id), wanted, handle: handle, request.caller
        ) { request.extend() }
      }
    }
    table.readlink = { request, id in
      FuseCallbacks.serve(request, .readlink) { files, request in
        try await files.target(of: InodeID(id), request.caller)
      }
    }
    table.statfs = { request, _ in
      FuseCallbacks.serve(request, .statfs) { files, _ in try await files.statistics() }
    }
    addExtendedAttributes(&table)
  }

  private static func addExtendedAttributes(_ table: inout fuse_lowlevel_ops) {
    table.getxattr = { request, id, name, size in
      let name = FuseCallbacks.bytes(name)
      let isAnswered = FuseCallbacks.answerNow(request, .getxattr) { files, _ throws(DFSError) in
        try files.checkCapabilityNow(of: InodeID(id), name)
        return nil
      }
      if isAnswered { return }
      FuseCallbacks.serve(request, .getxattr) { files, request in
        try await files.extendedAttribute(of: InodeID(id), name, limit: size, request.caller)
      }
    }
    table.listxattr = { request, id, size in
      FuseCallbacks.serve(request, .listxattr) { files, request in
        try await files.extendedAttributes(of: InodeID(id), limit: size, request.caller)
      }
    }
    table.setxattr = { request, id, name, value, size, flags in
      let name = FuseCallbacks.bytes(name)
      let value = Array(UnsafeRawBufferPointer(start: value, count: size))
      FuseCallbacks.serve(request, .setxattr, about: .inode(InodeID(id))) {
        files, request in
        try await files.setExtendedAttribute(
          of: InodeID(id), name, value, flags: flags, request.caller)
      }
    }
    table.removexattr = { request, id, name in
      let name = FuseCallbacks.bytes(name)
      FuseCallbacks.serve(request, .removexattr, about: .inode(InodeID(id))) {
        files, request in
        try await files.removeExtendedAttribute(of: InodeID(id), name, request.caller)
      }
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
    self.init(
      size: has(FUSE_SET_ATTR_SIZE) ? UInt64(max(0, status.st_size)) : nil,
      mode: has(FUSE_SET_ATTR_MODE) ? status.st_mode : nil,
      owner: has(FUSE_SET_ATTR_UID) ? status.st_uid : nil,
      group: has(FUSE_SET_ATTR_GID) ? status.st_gid : nil,
      accessed: time(FUSE_SET_ATTR_ATIME, FUSE_SET_ATTR_ATIME_NOW, status.st_atim),
      modified: time(FUSE_SET_ATTR_MTIME, FUSE_SET_ATTR_MTIME_NOW, status.st_mtim))
  }
}
