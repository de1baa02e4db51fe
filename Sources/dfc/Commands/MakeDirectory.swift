import ArgumentParser
import DFSClient
import DFSCore
import Glibc

/// Makes directories.
struct MakeDirectory: SessionCommand {
  static let configuration = CommandConfiguration(
    commandName: "mkdir", abstract: "Make directories.", usage: "mkdir [-p] DIR…")

  static let operands: [Operand] = [.remote]

  @Flag(name: [.short, .long], help: "Make those above too; one that exists is not an error.")
  var parents = false

  @Argument(help: ArgumentHelp("Directories of the servers.", valueName: "dir"))
  var directories: [String]

  func run(in session: Session) async throws {
    let service = try await session.service()
    let outcome = Outcome(of: "mkdir", in: session, isJSON: false)
    for directory in directories {
      try await outcome.of(directory) {
        let path = try RemotePath(directory)
        if parents {
          try await makeAll(path, on: service)
        } else {
          let (above, name) = try path.split()
          let parent = try await above.resolve(on: service)
          _ = try await service.create(parent.id, name, Self.new)
        }
      }
    }
    try outcome.finish()
  }

  private static var new: NewInode {
    NewInode(kind: .directory, mode: 0o755, owner: getuid(), group: getgid())
  }

  private func makeAll(_ path: RemotePath, on service: any FileService) async throws {
    if let inode = try await path.find(on: service) {
      guard inode.kind == .directory else { throw DFSError(.exists, "it is not a directory") }
      return
    }
    let (above, name) = try path.split()
    try await makeAll(above, on: service)
    let parent = try await above.resolve(on: service)
    do {
      _ = try await service.create(parent.id, name, Self.new)
    } catch let error as DFSError where error.code == .exists {
      // Somebody else made it a moment ago; that it is one is found out by what goes into it.
    }
  }
}
