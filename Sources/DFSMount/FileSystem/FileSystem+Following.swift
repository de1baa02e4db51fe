internal import DFSClient
internal import DFSCore
internal import DFSSystem

/// Readers go on with what other mounts publish to the file that they have open: as on a local disk who reads at
/// its end gets what was appended since, but who is in the middle keeps the version that it reads, whole.
///
/// An open file goes on with the newest version as a whole, for the kernel has one set of pages and one size for
/// its handles: when all of these are for reading only, and each reader stands at the end and knows it. That is
/// told by its position (`Caller.positions`) when it asks: by stat(2) or fstat(2); by read(2) it may be about to
/// learn where the end is, so that is told first, and it goes on with the next.
extension FileSystem {
  /// Somebody asks for attributes.
  /// - Parameter inode: as it is now.
  func follow(_ inode: Inode, _ caller: Caller) async {
    guard isBehind(inode) else { return }
    let all = handles.files(of: inode.id)
    if let position = caller.positions(in: inode.id).min() {
      for handle in all where handle.file.size <= position && isOwn(handle, of: caller, all) {
        handle.noteEnd(by: caller)
      }
    }
    await goOn(all, as: inode)
  }

  /// Somebody reads.
  /// - Parameter offset: of what is read past the kernel's pages; nil: through them, to their end or beyond.
  func follow(_ handle: FileHandle, at offset: UInt64?, _ caller: Caller) async {
    let file = handle.file
    if let offset, offset < file.size { return handle.noteMiddle() }
    guard handle.isForReading, let inode = try? await service.inode(file.id, .pushed),
      file.isBehind(inode), let place = offset ?? caller.positions(in: file.id).min()
    else { return }
    guard place >= file.size else { return handle.noteReadToEnd() }
    handle.noteReadAtEnd(by: caller)
    await goOn(handles.files(of: file.id), as: inode)
  }

  private func goOn(_ all: [FileHandle], as inode: Inode) async {
    for (_, readers) in Dictionary(grouping: all, by: { ObjectIdentifier($0.file) }) {
      guard let file = readers.first?.file, file.isBehind(inode),
        readers.allSatisfy({ $0.isForReading && $0.isAtEnd })
      else { continue }
      try? await file.lock.alone {
        // Asked in the lock, so that no answer is older than the version that it has.
        let inode = try await self.service.inode(file.id, .pushed)
        if self.areStillAtEnd(readers, of: file) {
          file.goOn(with: inode, readers: readers.count)
        }
      }
      await file.dropOldPages()
    }
  }

  /// Whether readers that knew the end are there still: of what is read past the kernel's pages all is heard,
  /// else positions tell. A handle without a descriptor is a mapping's, which reads anywhere.
  private func areStillAtEnd(_ readers: [FileHandle], of file: OpenFile) -> Bool {
    let paged = Dictionary(grouping: readers.filter { !$0.isPastPages }, by: \.thread)
    return readers.allSatisfy(\.isAtEnd)
      && paged.allSatisfy { thread, own in
        let found = Caller(user: 0, group: 0, thread: thread).positions(in: file.id)
        return found.count >= own.count && found.allSatisfy { $0 >= file.size }
      }
  }

  // MARK: What is shown meanwhile

  /// Whether files that are open only to be read are of an older version than an inode is now.
  func isBehind(_ inode: Inode) -> Bool {
    let open = files.open(inode.id)
    return open.joined?.isBehind(inode) ?? false || open.paged?.isBehind(inode) ?? false
  }

  /// The size of an inode that is newer than what is read here: to who reads that, its own; to all others,
  /// the newest.
  func size(of inode: Inode, shownTo caller: Caller) -> UInt64 {
    if caller.positions(in: inode.id).isEmpty { return inode.size }
    let all = handles.files(of: inode.id)
    return (all.first { isOwn($0, of: caller, all) } ?? all.first)?.file.size ?? inode.size
  }

  /// - Parameter all: the handles of its inode, of which the caller has a descriptor.
  private func isOwn(_ handle: FileHandle, of caller: Caller, _ all: [FileHandle]) -> Bool {
    all.count == 1 || caller.isOfProcess(of: handle.thread)
  }
}
