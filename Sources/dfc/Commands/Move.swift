import ArgumentParser
import DFSClient
import DFSCore

/// Renames, in one step each.
struct Move: SessionCommand {
  static let configuration = CommandConfiguration(
    commandName: "mv", abstract: "Rename, or move into a directory.",
    usage: """
      mv PATH NEW
      mv PATH… DIR/
      """,
    discussion: "A file that has the new name is replaced, in one step.")

  static let operands: [Operand] = [.remote]

  @Argument(help: ArgumentHelp("What to move, then where to.", valueName: "path"))
  var paths: [String]

  func validate() throws {
    guard paths.count >= 2 else { throw ValidationError("mv needs what to move and where to") }
  }

  func run(in session: Session) async throws {
    let service = try await session.service()
    let last = try RemotePath(paths[paths.count - 1])
    let target = try await last.find(on: service)
    let isDirectory = target?.kind == .directory
    guard isDirectory || !last.isDirectory && paths.count == 2 else {
      throw DFSError(.notDirectory, "\(last): there is no such directory; mkdir makes it")
    }
    let outcome = Outcome(of: "mv", in: session, isJSON: false)
    for text in paths.dropLast() {
      try await outcome.of(text) {
        let (above, name) = try RemotePath(text).split()
        let parent = try await above.resolve(on: service)
        if isDirectory, let target {
          try await service.rename(parent.id, name, to: target.id, name, .replace)
        } else {
          let (newAbove, newName) = try last.split()
          let newParent = try await newAbove.resolve(on: service)
          try await service.rename(parent.id, name, to: newParent.id, newName, .replace)
        }
      }
    }
    try outcome.finish()
  }
}
