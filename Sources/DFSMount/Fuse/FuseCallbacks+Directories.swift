internal import CFuse
internal import DFSCore

/// The callbacks of libfuse that concern directories.
extension FuseCallbacks {
  static func addDirectories(_ table: inout fuse_lowlevel_ops) {
    table.opendir = { request, id, _ in
      FuseCallbacks.serve(request, .opendir) { files, _ in files.openDirectory(InodeID(id))
      }
    }
    table.readdir = { request, _, size, offset, info in
      guard let handle = info?.pointee.fh else { return }
      FuseCallbacks.serve(request, .readdir) { files, _ in
        try await files.readDirectory(
          handle, after: Int(offset), size: size, withAttributes: false)
      }
    }
    table.readdirplus = { request, _, size, offset, info in
      guard let handle = info?.pointee.fh else { return }
      FuseCallbacks.serve(request, .readdirplus) { files, _ in
        try await files.readDirectory(handle, after: Int(offset), size: size, withAttributes: true)
      }
    }
    table.releasedir = { request, _, info in
      guard let handle = info?.pointee.fh else { return }
      FuseCallbacks.serve(request, .releasedir) { files, _ in
        files.releaseDirectory(handle)
      }
    }
    table.fsyncdir = { request, _, _, _ in
      FuseCallbacks.serve(request, .fsyncdir) { files, _ in files.syncDirectory() }
    }
  }
}
