internal import DFSClient
internal import DFSCore
internal import Synchronization

/// Directories: reading them whole, with the attributes of what they hold.
extension FileSystem {
  func openDirectory(_ id: InodeID) -> Reply {
    .opened(Opened(handle: handles.add(DirectoryHandle(id))))
  }

  /// The entries from place `first` on. Reading from the front takes the directory as it is then;
  /// what follows is of the same state, so that nothing is skipped or told twice.
  func readDirectory(
    _ handle: UInt64, from first: Int, size: Int, withAttributes: Bool
  ) async throws -> Reply {
    let handle = try handles.directory(handle)
    let known = first == 0 ? nil : handle.listing.withLock { $0 }
    let listing: DirectoryHandle.Listing
    if let known {
      listing = known
    } else {
      listing = try await entries(of: handle.directory)
      handle.listing.withLock { $0 = listing }
    }
    let rest = listing.items.dropFirst(first)
    return .directory(
      DirectoryPage(
        items: withAttributes ? current(rest, of: listing, atMost: size) : rest, size: size,
        withAttributes: withAttributes))
  }

  /// The items, with the attributes that open files have now: what was taken when the directory was
  /// read from the front may be older than an open. If anything changed since then, the kernel is to
  /// ask for each name; so it is for a name besides which it knows another, see `lostName`. Only as
  /// many as can fit the answer: a large directory is read in thousands of answers.
  /// - Parameter size: of the answer, bytes.
  private func current(
    _ items: ArraySlice<DirectoryPage.Item>, of listing: DirectoryHandle.Listing, atMost size: Int
  ) -> ArraySlice<DirectoryPage.Item> {
    var page = items.prefix(size / Self.itemBytes + 1)
    for place in page.indices {
      guard let name = page[place].entry else { continue }
      let inode = page[place].attributes.inode
      if let file = files[inode.id] { page[place].attributes = told(inode, of: file) }
      if nodes.otherName(of: inode, than: name) != nil { page[place].entry = nil }
    }
    // Asked last: what changed while open files were looked at may have been closed since.
    if kernel.isOld(listing.mark) { for place in page.indices { page[place].entry = nil } }
    return page
  }

  /// The smallest item with attributes in an answer to the kernel: fuse_direntplus with a name of
  /// one byte.
  static let itemBytes = 160

  private func entries(of id: InodeID) async throws -> DirectoryHandle.Listing {
    let mark = kernel.mark
    let entries = try await service.list(id, .current)
    let directory = try await service.inode(id, .pushed)
    noteAccess(directory)
    let parent =
      directory.parent == id ? directory : try await service.inode(directory.parent, .pushed)
    var items = [
      DirectoryPage.Item(name: [UInt8(ascii: ".")], attributes: Attributes(directory), entry: nil),
      DirectoryPage.Item(
        name: [UInt8](repeating: UInt8(ascii: "."), count: 2), attributes: Attributes(parent),
        entry: nil),
    ]
    items.reserveCapacity(entries.count + 2)
    for item in entries {
      items.append(
        DirectoryPage.Item(
          name: item.name.bytes, attributes: attributes(item.inode, since: mark),
          entry: NodeName(parent: id, name: item.name)))
    }
    return DirectoryHandle.Listing(items: items, mark: mark)
  }

  /// A change of names is on three servers when its call returns.
  func syncDirectory() -> Reply { .done }

  func releaseDirectory(_ handle: UInt64) -> Reply {
    handles.removeDirectory(handle)
    return .done
  }
}
