internal import CFuse
internal import DFSCore
internal import Glibc

/// The callbacks of libfuse that concern ranges of open files.
extension FuseCallbacks {
  static func addRanges(_ table: inout fuse_lowlevel_ops) {
    table.fallocate = { request, id, mode, offset, length, info in
      guard let handle = info?.pointee.fh else { return }
      FuseCallbacks.serve(
        request, "fallocate", .change, about: .handle(handle, of: InodeID(id))
      ) { files, request in
        let (mode, range) = (
          try AllocationMode(flags: mode), try FuseCallbacks.range(offset, length)
        )
        return try await files.allocate(handle, mode, range) { request.extend() }
      }
    }
    table.lseek = { request, _, offset, whence, info in
      guard let handle = info?.pointee.fh else { return }
      FuseCallbacks.serve(request, "lseek", .query) { files, _ in
        // SEEK_DATA and SEEK_HOLE, which Swift does not import; the kernel does the others.
        guard whence == 3 || whence == 4, offset >= 0 else {
          throw DFSError(.invalidArgument, "lseek from \(whence) to \(offset)")
        }
        return try await files.seek(handle, UInt64(offset), whence == 3 ? .data : .hole)
      }
    }
    table.copy_file_range = { request, _, start, source, id, offset, target, count, flags in
      guard let source = source?.pointee.fh, let target = target?.pointee.fh else { return }
      FuseCallbacks.serve(
        request, "copy_file_range", .change, about: .handle(target, of: InodeID(id))
      ) { files, request in
        guard flags == 0 else {
          throw DFSError(.invalidArgument, "copy_file_range with the flags \(flags)")
        }
        let (from, to) = (
          try FuseCallbacks.range(start, off_t(count)),
          try FuseCallbacks.range(offset, off_t(count))
        )
        return try await files.copy(
          source, at: from.lowerBound, to: target, at: to.lowerBound, count: UInt64(from.count)
        ) { request.extend() }
      }
    }
  }

  private static func range(_ offset: off_t, _ count: off_t) throws(DFSError) -> Range<UInt64> {
    guard offset >= 0, count >= 0 else {
      throw DFSError(.invalidArgument, "a range of \(count) bytes at \(offset)")
    }
    let (end, overflow) = UInt64(offset).addingReportingOverflow(UInt64(count))
    guard !overflow, end <= UInt64(Int64.max) else {
      throw DFSError(.fileTooLarge, "a range that ends beyond every file")
    }
    return UInt64(offset)..<end
  }
}
