internal import CFuse
internal import DFSCore
internal import Glibc

/// The callbacks of libfuse that concern ranges of open files.
extension FuseCallbacks {
  static func addRanges(_ table: inout fuse_lowlevel_ops) {
    table.fallocate = { request, id, mode, offset, length, info in
      guard let handle = info?.pointee.fh else { return }
      FuseCallbacks.serve(
        request, .fallocate, about: .handle(handle, of: InodeID(id))
      ) { files, request in
        try await files.allocate(handle, flags: mode, at: offset, count: length) {
          request.extend()
        }
      }
    }
    table.lseek = { request, _, offset, whence, info in
      guard let handle = info?.pointee.fh else { return }
      FuseCallbacks.serve(request, .lseek) { files, _ in
        try await files.seek(handle, offset, whence: whence)
      }
    }
    table.copy_file_range = { request, _, start, source, id, offset, target, count, flags in
      guard let source = source?.pointee.fh, let target = target?.pointee.fh else { return }
      FuseCallbacks.serve(
        request, .copyFileRange, about: .handle(target, of: InodeID(id))
      ) { files, request in
        try await files.copy(
          source, at: start, to: target, at: offset, count: count, flags: flags
        ) { request.extend() }
      }
    }
  }
}
