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
    let known = first == 0 ? nil : handle.items.withLock { $0 }
    let items: [DirectoryPage.Item]
    if let known {
      items = known
    } else {
      items = try await entries(of: handle.directory)
      handle.items.withLock { $0 = items }
    }
    let rest = items.dropFirst(first)
    return .directory(
      DirectoryPage(
        first: first, items: withAttributes ? current(rest, atMost: size) : rest, size: size,
        withAttributes: withAttributes))
  }

  /// The items, with the attributes that open files have now: what was taken when the directory was
  /// read from the front may be older than an open. Only as many as can fit the answer: a large
  /// directory is read in thousands of answers.
  /// - Parameter size: of the answer, bytes.
  private func current(
    _ items: ArraySlice<DirectoryPage.Item>, atMost size: Int
  ) -> ArraySlice<DirectoryPage.Item> {
    guard !files.isEmpty else { return items }
    return items.prefix(size / Self.itemBytes + 1).map { item in
      guard item.entry != nil, let file = files[item.attributes.inode.id] else { return item }
      let attributes = told(file.overlay(item.attributes.inode), of: file)
      return DirectoryPage.Item(name: item.name, attributes: attributes, entry: item.entry)
    }[...]
  }

  /// The smallest item with attributes in an answer to the kernel: fuse_direntplus with a name of
  /// one byte.
  static let itemBytes = 160

  private func entries(of id: InodeID) async throws -> [DirectoryPage.Item] {
    let mark = nodes.mark
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
    return items
  }

  func releaseDirectory(_ handle: UInt64) -> Reply {
    handles.removeDirectory(handle)
    return .done
  }
}
