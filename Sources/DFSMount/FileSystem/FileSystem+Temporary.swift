internal import DFSClient
internal import DFSCore
internal import DFSSystem
internal import Glibc

/// Files that were opened without a name (`O_TMPFILE`): they are here only, until link(2) gives them
/// one; nothing of those that never get one reaches a server.
extension FileSystem {
  func createTemporary(
    _ parent: InodeID, mode: UInt32, flags: Int32, _ caller: Caller
  ) async throws -> Reply {
    try await context.checkWritable()
    let new = try await within(parent, for: caller) {
      try await inheriting(parent, NewInode(kind: .regular, mode: mode, caller))
    }
    let inode = Inode(
      id: try await service.reserveInode(), kind: .regular, mode: new.mode, owner: new.owner,
      group: new.group, links: 0, time: .now)
    let file = OpenFile(created: inode, as: .temporary, context: context)
    files.add(created: file)
    return .created(
      Entry(name: nil, attributes: file.ownAttributes),
      opened(file, flags: flags, caller))
  }
}
