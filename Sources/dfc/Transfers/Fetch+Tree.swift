import DFSClient
import DFSCommandLine
import DFSCore
import DFSSystem
import Glibc

/// `get -r`: trees, written through open directories, so that neither a name nor a symbolic link of the tree
/// leads out of the destination, whatever was there before.
extension Fetch {
  /// Files of a directory under way at once.
  private static let width = 4

  /// Where the root of a tree goes.
  enum TreePlace {
    /// What is in it goes into this directory.
    case contents(LocalPath)
    /// It becomes this entry of a directory.
    case entry(LocalPath, FileName)
    /// It becomes this new directory, or is put into it.
    case named(LocalPath)
  }

  func getTree(_ inode: Inode, at path: RemotePath, to place: TreePlace) async throws {
    let directory = try await offload {
      OutputDirectory.raiseDescriptorLimit()
      return try Self.open(place, mode: Self.mode(of: inode))
    }
    try await getTree(inode, at: path, into: directory, within: [])
  }

  private static func open(_ place: TreePlace, mode: UInt32) throws(DFSError) -> OutputDirectory {
    switch place {
    case .contents(let path): return try OutputDirectory.open(path.text)
    case .entry(let path, let name):
      return try OutputDirectory.open(path.text).makeDirectory(
        name, mode: mode, keepsExisting: true)
    case .named(let path):
      guard mkdir(path.cString, mode) == 0 else {
        throw .system("cannot make the directory \(path)")
      }
      return try OutputDirectory.open(path.text)
    }
  }

  private static func mode(of inode: Inode) -> UInt32 { inode.mode & 0o777 | 0o700 }

  /// - Parameter ancestors: the directories that this one is in: a server that shows a directory within itself
  ///   would have it fetched for ever.
  private func getTree(
    _ inode: Inode, at path: RemotePath, into directory: OutputDirectory,
    within ancestors: Set<InodeID>
  ) async throws {
    guard !ancestors.contains(inode.id) else {
      throw DFSError(
        .loop, "the servers show this directory within itself; it is not fetched again")
    }
    let ancestors = ancestors.union([inode.id])
    let items = try await service.list(inode.id, .current)
    try await inOrder(items.lazy.filter { $0.inode.kind != .directory }, width: Self.width) {
      item in
      let itemPath = path.appending(item.name)
      try await outcome.of(itemPath.text) {
        try await getItem(item.inode, at: itemPath, to: item.name, in: directory)
      }
    } take: { _ in
    }
    for item in items where item.inode.kind == .directory {
      let itemPath = path.appending(item.name)
      try await outcome.of(itemPath.text) {
        guard itemPath.bytes.count <= Limits.pathBytes else {
          throw DFSError(
            .nameTooLong,
            "a path of \(itemPath.bytes.count) bytes; the limit is \(Limits.pathBytes)")
        }
        let made = try await offload {
          try directory.makeDirectory(
            item.name, mode: Self.mode(of: item.inode), keepsExisting: true)
        }
        try await getTree(item.inode, at: itemPath, into: made, within: ancestors)
      }
    }
  }

  private func getItem(
    _ inode: Inode, at path: RemotePath, to name: FileName, in directory: OutputDirectory
  ) async throws {
    guard inode.kind == .symlink else {
      return try await getFile(inode, at: path, to: LocalPlace(name, in: directory))
    }
    try await offload {
      let temporary = try FileName(".dfc-get-\(VersionID.random())")
      try directory.makeSymlink(temporary, target: inode.target)
      do {
        guard try directory.occupant(name).map({ $0 == .link }) ?? true else {
          throw DFSError(.exists, "\(directory.place(name).printable) is there and is not a link")
        }
        try directory.replace(name, with: temporary)
      } catch {
        try? directory.remove(temporary)
        throw error
      }
    }
  }
}
