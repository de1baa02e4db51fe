internal import CFuse
internal import DFSCore
internal import Glibc
internal import Synchronization

/// A request of the kernel as libfuse has it.
///
/// Unchecked: libfuse lets a request be answered from any thread, once; `FuseRequest` sees to the
/// once.
struct RawRequest: @unchecked Sendable {
  let pointer: fuse_req_t

  var caller: Caller {
    guard let context = fuse_req_ctx(pointer) else { return Caller(user: 0, group: 0, thread: 0) }
    return Caller(
      user: context.pointee.uid, group: context.pointee.gid, thread: context.pointee.pid)
  }

  func fail(_ number: Int32) { fuse_reply_err(pointer, number) }
}

/// How answers are put into libfuse's words.
final class FuseAnswers: Sendable {
  let ownership: Ownership
  /// Seconds for which the kernel may answer from its own memory what it will be told changes of.
  let entryTimeout: Double
  let attributeTimeout: Double
  /// `FileService.changes`.
  let changes: @Sendable () -> UInt64?
  /// Whether the kernel can be made to ask again for all names; if not, it is told of single ones, and
  /// must not keep for long those of which nothing is known here (a file's others than the last).
  let expiresNames = Atomic<Bool>(false)

  /// The same for what may have changed already.
  private static let shortTimeout = 1.0

  init(_ options: MountOptions, changes: @escaping @Sendable () -> UInt64?) {
    ownership = options.ownership
    entryTimeout = options.entryTimeoutSeconds
    attributeTimeout = options.attributeTimeoutSeconds
    self.changes = changes
  }

  /// Sends any answer but a directory's.
  /// - Returns: whether the kernel took it.
  func send(_ reply: Reply, to request: RawRequest) -> Bool {
    let raw = request.pointer
    return switch reply {
    case .done: fuse_reply_err(raw, 0) == 0
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
    case .position(nil): fuse_reply_err(raw, ENXIO) == 0
    case .space(let report): send(report, to: raw)
    case .value(let bytes, let limit): send(bytes, limit: limit, to: raw)
    case .renamed: fuse_reply_err(raw, ESTALE) == 0
    case .directory: false
    }
  }

  // MARK: Attributes

  private func with<Result>(
    _ entry: Entry, _ body: (UnsafePointer<fuse_entry_param>) -> Result
  ) -> Result {
    var parameters = parameters(entry.attributes)
    if entry.isPassing {
      parameters.entry_timeout = 0
      parameters.attr_timeout = 0
    }
    return body(&parameters)
  }

  private func parameters(_ attributes: Attributes) -> fuse_entry_param {
    var parameters = fuse_entry_param()
    parameters.ino = attributes.inode.id.value
    parameters.attr = status(attributes)
    parameters.attr_timeout = timeout(attributes)
    parameters.entry_timeout =
      expiresNames.load(ordering: .relaxed)
      ? bound(entryTimeout, attributes) : min(entryTimeout, Self.shortTimeout)
    return parameters
  }

  private func with<Result>(
    _ opened: Opened, _ body: (UnsafePointer<fuse_file_info>) -> Result
  ) -> Result {
    var info = fuse_file_info()
    dfs_file_info_set(&info, opened.handle, opened.keepCache ? 1 : 0, opened.isDirect ? 1 : 0)
    return body(&info)
  }

  private func send(_ attributes: Attributes, to raw: fuse_req_t) -> Bool {
    var status = status(attributes)
    return fuse_reply_attr(raw, &status, timeout(attributes)) == 0
  }

  private func timeout(_ attributes: Attributes) -> Double {
    attributes.isPassing ? 0 : bound(attributeTimeout, attributes)
  }

  private func bound(_ timeout: Double, _ attributes: Attributes) -> Double {
    let isUnchanged = attributes.knownAt.map { $0 == changes() } ?? false
    return isUnchanged ? timeout : min(timeout, Self.shortTimeout)
  }

  /// What `stat` shows.
  private func status(_ attributes: Attributes) -> stat {
    let inode = attributes.inode
    var status = stat()
    status.st_ino = UInt(inode.id.value)
    status.st_mode = inode.kind.fileType | inode.mode & ~ownership.mask
    status.st_nlink = UInt(inode.links)
    status.st_uid = ownership.user ?? inode.owner
    status.st_gid = ownership.group ?? inode.group
    status.st_rdev = UInt(inode.device)
    status.st_size = Int(attributes.size)
    status.st_blksize = 128 << 10
    status.st_blocks = Int((attributes.size + 511) / 512)
    status.st_atim = timespec(inode.accessed)
    status.st_mtim = timespec(inode.modified)
    status.st_ctim = timespec(inode.changed)
    return status
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

  private func send(_ bytes: [UInt8], limit: Int, to raw: fuse_req_t) -> Bool {
    if limit == 0 { return fuse_reply_xattr(raw, bytes.count) == 0 }
    guard bytes.count <= limit else { return fuse_reply_err(raw, ERANGE) == 0 }
    return bytes.withUnsafeBytes {
      fuse_reply_buf(raw, $0.bindMemory(to: CChar.self).baseAddress, $0.count) == 0
    }
  }

  private func send(_ report: SpaceReport, to raw: fuse_req_t) -> Bool {
    let space = SpaceInBlocks(report)
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
    _ page: DirectoryPage, for request: RawRequest
  ) -> (bytes: [UInt8], items: ArraySlice<DirectoryPage.Item>) {
    var packed = page.items.startIndex
    let bytes = [UInt8](unsafeUninitializedCapacity: page.size) { buffer, used in
      for (index, item) in zip(page.items.indices, page.items) {
        let rest = UnsafeMutableRawBufferPointer(
          rebasing: UnsafeMutableRawBufferPointer(buffer)[used...])
        let count = add(item, next: index + 1, page.withAttributes, to: rest, request.pointer)
        guard count <= rest.count else { break }
        used += count
        packed = index + 1
      }
    }
    return (bytes, page.items[..<packed])
  }

  /// - Returns: the bytes that the item needs; it was added if that many were left.
  private func add(
    _ item: DirectoryPage.Item, next: Int, _ withAttributes: Bool,
    to rest: UnsafeMutableRawBufferPointer, _ raw: fuse_req_t
  ) -> Int {
    var parameters = parameters(item.attributes)
    // Without the inode's number the kernel shows the name, and counts no lookup.
    if item.entry == nil { parameters.ino = 0 }
    return (item.name + [0]).withUnsafeBytes { name in
      let name = name.bindMemory(to: CChar.self).baseAddress
      let place = rest.bindMemory(to: CChar.self).baseAddress
      return withAttributes
        ? fuse_add_direntry_plus(raw, place, rest.count, name, &parameters, off_t(next))
        : fuse_add_direntry(raw, place, rest.count, name, &parameters.attr, off_t(next))
    }
  }

  func send(_ bytes: [UInt8], to request: RawRequest) -> Bool {
    bytes.withUnsafeBytes {
      fuse_reply_buf(request.pointer, $0.bindMemory(to: CChar.self).baseAddress, $0.count) == 0
    }
  }
}

/// What `df` shows. Servers told the numbers, so none is trusted, and what is free is a part of all.
struct SpaceInBlocks: Hashable {
  static let block: UInt = 4096

  let all: UInt
  let free: UInt
  /// Each block that is free may become a file.
  let files: UInt

  init(_ report: SpaceReport) {
    all = UInt(report.total) / Self.block
    free = UInt(min(report.available, report.total)) / Self.block
    files = UInt(min(report.inodes, Limits.number)) + free
  }
}
