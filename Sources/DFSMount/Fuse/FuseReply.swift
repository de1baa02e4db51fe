internal import CFuse
internal import DFSCore
internal import Glibc

/// A request of the kernel as libfuse has it.
///
/// Unchecked: libfuse lets a request be answered from any thread, once; who uses it sees to the once.
struct RawRequest: RequestChannel, @unchecked Sendable {
  let pointer: fuse_req_t
  let answers: FuseAnswers

  var caller: Caller {
    guard let context = fuse_req_ctx(pointer) else { return Caller(user: 0, group: 0, thread: 0) }
    return Caller(
      user: context.pointee.uid, group: context.pointee.gid, thread: context.pointee.pid)
  }

  var isInterrupted: Bool { fuse_req_interrupted(pointer) != 0 }

  func fail(_ number: Int32) { fuse_reply_err(pointer, number) }

  func send(_ reply: Reply) -> Bool { answers.send(reply, to: pointer) }

  func pack(_ page: DirectoryPage) -> (bytes: [UInt8], items: ArraySlice<DirectoryPage.Item>) {
    answers.pack(page, for: pointer)
  }

  func send(packed bytes: [UInt8]) -> Bool { answers.send(bytes, to: pointer) }
}

/// How answers are put into libfuse's words.
final class FuseAnswers: Sendable {
  private let ownership: Ownership
  private let kernel: KernelCache

  init(_ kernel: KernelCache, _ ownership: Ownership) {
    self.kernel = kernel
    self.ownership = ownership
  }

  /// Sends any answer but a directory's.
  /// - Returns: whether the kernel took it.
  func send(_ reply: Reply, to raw: fuse_req_t) -> Bool {
    if let number = reply.errno { return fuse_reply_err(raw, number) == 0 }
    return switch reply {
    case .entry(let entry): with(entry) { fuse_reply_entry(raw, $0) == 0 }
    case .created(let entry, let opened):
      with(entry) { entry in with(opened) { fuse_reply_create(raw, entry, $0) == 0 } }
    case .attributes(let attributes): send(attributes, to: raw)
    case .opened(let opened): with(opened) { fuse_reply_open(raw, $0) == 0 }
    case .target(let bytes):
      (bytes + [0]).withUnsafeBufferPointer { bytes in
        bytes.withMemoryRebound(to: CChar.self) { fuse_reply_readlink(raw, $0.baseAddress) == 0 }
      }
    case .data(let pieces): send(pieces, to: raw)
    case .written(let count): fuse_reply_write(raw, count) == 0
    case .position(let place?): fuse_reply_lseek(raw, off_t(place)) == 0
    case .space(let space): send(space, to: raw)
    case .value(let bytes): send(bytes, to: raw)
    case .valueLength(let count): fuse_reply_xattr(raw, count) == 0
    case .lock(let lock): send(lock, to: raw)
    // An errno, or sent when it is packed.
    case .done, .renamed, .again, .position, .directory, .locked: false
    }
  }

  // MARK: Attributes

  private func with<Result>(
    _ entry: Entry, _ body: (UnsafePointer<fuse_entry_param>) -> Result
  ) -> Result {
    var parameters = parameters(entry.attributes, kernel.seconds(of: entry))
    return body(&parameters)
  }

  private func parameters(
    _ attributes: Attributes, _ seconds: (name: Double, attributes: Double)
  ) -> fuse_entry_param {
    var parameters = fuse_entry_param()
    parameters.ino = attributes.inode.id.value
    parameters.generation = kernel.generation(of: attributes.inode.id)
    parameters.attr = status(attributes)
    parameters.attr_timeout = seconds.attributes
    parameters.entry_timeout = seconds.name
    return parameters
  }

  private func with<Result>(
    _ opened: Opened, _ body: (UnsafePointer<fuse_file_info>) -> Result
  ) -> Result {
    var info = fuse_file_info()
    dfs_file_info_set(
      &info, opened.handle, opened.keepCache ? 1 : 0, opened.isDirect ? 1 : 0,
      opened.isNothingStored ? 1 : 0)
    return body(&info)
  }

  private func send(_ attributes: Attributes, to raw: fuse_req_t) -> Bool {
    var status = status(attributes)
    return fuse_reply_attr(raw, &status, kernel.seconds(of: attributes).attributes) == 0
  }

  private func status(_ attributes: Attributes) -> stat {
    let (inode, shown) = (attributes.inode, ShownAttributes(attributes, ownership))
    var status = stat()
    status.st_ino = UInt(inode.id.value)
    status.st_mode = shown.mode
    status.st_nlink = UInt(inode.links)
    status.st_uid = shown.user
    status.st_gid = shown.group
    status.st_rdev = UInt(inode.device)
    status.st_size = Int(attributes.size)
    status.st_blksize = ShownAttributes.preferredBytes
    status.st_blocks = Int(shown.blocks)
    status.st_atim = timespec(inode.accessed)
    status.st_mtim = timespec(inode.modified)
    status.st_ctim = timespec(inode.changed)
    return status
  }

  private func send(_ lock: FileLock?, to raw: fuse_req_t) -> Bool {
    var found = flock()
    found.l_type = Int16(lock.map { $0.isExclusive ? F_WRLCK : F_RDLCK } ?? F_UNLCK)
    found.l_whence = Int16(SEEK_SET)
    found.l_start = Int(lock?.first ?? 0)
    // No length is up to the end.
    found.l_len = lock.map { $0.last >= UInt64(Int.max) ? 0 : Int($0.last - $0.first + 1) } ?? 0
    found.l_pid = lock?.process ?? 0
    return fuse_reply_lock(raw, &found) == 0
  }

  // MARK: Contents

  private func send(_ pieces: [ArraySlice<UInt8>], to raw: fuse_req_t) -> Bool {
    var vectors: [iovec] = []
    return withVectors(pieces[...], &vectors) { vectors in
      fuse_reply_iov(raw, vectors.baseAddress, Int32(vectors.count)) == 0
    }
  }

  private func withVectors(
    _ pieces: ArraySlice<ArraySlice<UInt8>>, _ vectors: inout [iovec],
    _ body: (UnsafeBufferPointer<iovec>) -> Bool
  ) -> Bool {
    guard let first = pieces.first else { return vectors.withUnsafeBufferPointer(body) }
    return first.withUnsafeBytes { bytes in
      vectors.append(
        iovec(iov_base: UnsafeMutableRawPointer(mutating: bytes.baseAddress), iov_len: bytes.count))
      return withVectors(pieces.dropFirst(), &vectors, body)
    }
  }

  func send(_ bytes: [UInt8], to raw: fuse_req_t) -> Bool {
    bytes.withUnsafeBytes {
      fuse_reply_buf(raw, $0.bindMemory(to: CChar.self).baseAddress, $0.count) == 0
    }
  }

  private func send(_ space: SpaceInBlocks, to raw: fuse_req_t) -> Bool {
    var statistics = statvfs()
    statistics.f_bsize = SpaceInBlocks.block
    statistics.f_frsize = SpaceInBlocks.block
    statistics.f_blocks = space.all
    statistics.f_bfree = space.free
    statistics.f_bavail = space.free
    statistics.f_files = space.files
    statistics.f_ffree = space.free
    statistics.f_favail = space.free
    statistics.f_namemax = UInt(Limits.nameBytes)
    return fuse_reply_statfs(raw, &statistics) == 0
  }

  // MARK: Directories

  /// As many items as fit, packed; and those items.
  func pack(
    _ page: DirectoryPage, for raw: fuse_req_t
  ) -> (bytes: [UInt8], items: ArraySlice<DirectoryPage.Item>) {
    var packed = page.items.startIndex
    let bytes = [UInt8](unsafeUninitializedCapacity: page.size) { buffer, used in
      for (index, item) in zip(page.items.indices, page.items) {
        let rest = UnsafeMutableRawBufferPointer(
          rebasing: UnsafeMutableRawBufferPointer(buffer)[used...])
        let count = add(item, page.withAttributes, to: rest, raw)
        guard count <= rest.count else { break }
        used += count
        packed = index + 1
      }
    }
    return (bytes, page.items[..<packed])
  }

  /// - Returns: the bytes that the item needs; it was added if that many were left.
  private func add(
    _ item: DirectoryPage.Item, _ withAttributes: Bool,
    to rest: UnsafeMutableRawBufferPointer, _ raw: fuse_req_t
  ) -> Int {
    var parameters = parameters(item.attributes, kernel.seconds(of: item.attributes))
    // Without the inode's number the kernel shows the name, and counts no lookup.
    if item.entry == nil { parameters.ino = 0 }
    return (item.name + [0]).withUnsafeBytes { name in
      let name = name.bindMemory(to: CChar.self).baseAddress
      let place = rest.bindMemory(to: CChar.self).baseAddress
      return withAttributes
        ? fuse_add_direntry_plus(raw, place, rest.count, name, &parameters, off_t(item.place))
        : fuse_add_direntry(raw, place, rest.count, name, &parameters.attr, off_t(item.place))
    }
  }
}
