internal import CFuse
internal import DFSClient
internal import DFSCore

/// The callbacks of libfuse that concern directories.
extension FuseCallbacks {
  static func addDirectories(_ table: inout fuse_lowlevel_ops) {
    table.opendir = { request, id, _ in
      FuseCallbacks.serve(request, "opendir", .query) { files, _ in files.openDirectory(InodeID(id))
      }
    }
    table.readdir = { request, _, size, offset, info in
      guard let handle = info?.pointee.fh else { return }
      FuseCallbacks.serve(request, "readdir", .query) { files, _ in
        try await files.readDirectory(
          handle, from: Int(offset), size: size, withAttributes: false)
      }
    }
    table.readdirplus = { request, _, size, offset, info in
      guard let handle = info?.pointee.fh else { return }
      FuseCallbacks.serve(request, "readdirplus", .query) { files, _ in
        try await files.readDirectory(handle, from: Int(offset), size: size, withAttributes: true)
      }
    }
    table.releasedir = { request, _, info in
      guard let handle = info?.pointee.fh else { return }
      FuseCallbacks.serve(request, "releasedir", .query) { files, _ in
        files.releaseDirectory(handle)
      }
    }
    // A change of names is on three servers when its call returns.
    table.fsyncdir = { request, _, _, _ in fuse_reply_err(request, 0) }
  }
}
