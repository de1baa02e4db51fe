import ArgumentParser
import DFSClient
import DFSCore

/// Removes files and directories.
struct Remove: SessionCommand {
  static let configuration = CommandConfiguration(
    commandName: "rm", abstract: "Remove files; -r directories.", usage: "rm [-r] [-f] PATH…")

  static let operands: [Operand] = [.remote]

  /// Names of a directory that are removed at once.
  private static let width = 8

  @Flag(name: [.short, .long], help: "Remove directories with all that is in them.")
  var recursive = false

  @Flag(name: [.short, .long], help: "What does not exist is not an error.")
  var force = false

  @Argument(help: ArgumentHelp("Files and directories of the servers.", valueName: "path"))
  var paths: [String]

  func run(in session: Session) async throws {
    let service = try await session.service()
    let outcome = Outcome(of: "rm", in: session, isJSON: false)
    for text in paths {
      try await outcome.of(text) {
        let path = try RemotePath(text)
        let (above, name) = try path.split()
        do {
          let parent = try await above.resolve(on: service)
          let inode = try await service.lookup(parent.id, name, .current)
          try await remove(DirectoryItem(name: name, inode: inode), from: parent.id, on: service)
        } catch let error as DFSError where error.code == .notFound && force {
          return
        }
      }
    }
    try outcome.finish()
  }

  private func remove(
    _ item: DirectoryItem, from parent: InodeID, on service: any FileService
  ) async throws {
    guard item.inode.kind == .directory else {
      try await service.unlink(parent, item.name)
      return
    }
    guard recursive else {
      throw DFSError(.isDirectory, "is a directory; rm -r removes it with all that is in it")
    }
    let items = try await service.list(item.inode.id, .current)
    try await inOrder(items.lazy.filter { $0.inode.kind != .directory }, width: Self.width) {
      file in
      try await service.unlink(item.inode.id, file.name)
    } take: { _ in
    }
    for directory in items where directory.inode.kind == .directory {
      try await remove(directory, from: item.inode.id, on: service)
    }
    try await service.removeDirectory(parent, item.name)
  }
}
