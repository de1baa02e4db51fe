internal import DFSClient
internal import DFSCore
internal import Synchronization

/// Directories: reading them whole, with the attributes of what they hold.
extension FileSystem {
  func openDirectory(_ id: InodeID) -> Reply {
    .opened(Opened(handle: handles.add(DirectoryHandle(id))))
  }

  /// The entries after a place, which the kernel got with one of them on this handle or another; from
  /// the front for 0, which takes the directory as it is then. What follows on the handle is of the same
  /// state.
  func readDirectory(
    _ handle: UInt64, after place: Int, size: Int, withAttributes: Bool
  ) async throws -> Reply {
    let handle = try handles.directory(handle)
    let listing = try await listing(for: handle, after: place)
    let rest = listing.rest(after: place)
    return .directory(
      DirectoryPage(
        items: withAttributes ? current(rest, of: listing, atMost: size) : rest, size: size,
        withAttributes: withAttributes))
  }

  private func listing(
    for handle: DirectoryHandle, after place: Int
  ) async throws -> DirectoryListing {
    if place != 0 {
      if let known = handle.listing.withLock({ $0 }) { return known }
      if let recent = listings.listing(of: handle.directory, isOld: kernel.isOld) {
        handle.listing.withLock { $0 = recent }
        return recent
      }
    }
    let listing = try await read(handle.directory)
    handle.listing.withLock { $0 = listing }
    listings.note(listing, of: handle.directory)
    return listing
  }

  /// The items, with the attributes that open files have now: what was taken when the directory was
  /// read from the front may be older than an open. If anything changed since then, the kernel is to
  /// ask for each name; so it is for a name besides which it knows another, see `lostName`. Only as
  /// many as can fit the answer: a large directory is read in thousands of answers.
  /// - Parameter size: of the answer, bytes.
  private func current(
    _ items: ArraySlice<DirectoryPage.Item>, of listing: DirectoryListing, atMost size: Int
  ) -> ArraySlice<DirectoryPage.Item> {
    var page = items.prefix(size / Self.itemBytes + 1)
    for place in page.indices {
      guard let name = page[place].entry else { continue }
      let inode = page[place].attributes.inode
      if let told = told(inode, for: .kernel) { page[place].attributes = told }
      if nodes.otherName(of: inode, than: name) != nil || isBehind(inode) {
        page[place].entry = nil
      }
    }
    // Asked last: what changed while open files were looked at may have been closed since.
    if kernel.isOld(listing.mark) { for place in page.indices { page[place].entry = nil } }
    return page
  }

  /// The smallest item with attributes in an answer to the kernel: fuse_direntplus with a name of
  /// one byte.
  static let itemBytes = 160

  private func read(_ id: InodeID) async throws -> DirectoryListing {
    let mark = kernel.mark
    let entries = try await service.list(id, .current)
    let directory = try await service.inode(id, .pushed)
    noteAccess(directory)
    let parent =
      directory.parent == id ? directory : try await service.inode(directory.parent, .pushed)
    return DirectoryListing(
      own: (Attributes(directory), parent: Attributes(parent)), entries, of: id, since: mark
    ) { attributes($0, since: mark) }
  }

  /// A change of names is on three servers when its call returns.
  func syncDirectory() -> Reply { .done }

  func releaseDirectory(_ handle: UInt64) -> Reply {
    handles.removeDirectory(handle)
    return .done
  }
}
