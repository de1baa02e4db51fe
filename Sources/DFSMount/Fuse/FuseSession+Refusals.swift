internal import DFSClient
internal import DFSCore
internal import Glibc
internal import Logging

/// What the log says of operations that failed.
extension FuseSession {
  /// Answers that a program may not show, or not understand: the servers, the space or the local
  /// disk are the reason, not what it asked for.
  private static let refusals: Set<Int32> = [EROFS, ENOSPC, EDQUOT, EIO, ETIMEDOUT]

  /// One line for an error that is not an ordinary answer, with the path.
  func note(
    _ error: DFSError, _ number: Int32, isChange: Bool, _ operation: StaticString,
    _ subject: FuseRequest.Subject?
  ) {
    let isRefusal = Self.refusals.contains(number)
    guard isRefusal || error.code == .fileTooLarge else {
      return logger.trace("\(operation): \(error)", metadata: ["errno": "\(number)"])
    }
    let file = subject.flatMap(openFile)
    // That a file could not be stored was said when it was tried.
    if let file, file.lastFailure == error, ["close", "fsync"].contains("\(operation)") { return }
    let about = subject.map { " \(path(of: $0, file))" } ?? ""
    fileSystem.context.refusals.log(
      .warning, "\(operation)\(about)\(isChange ? " is refused" : " failed"): \(error)",
      metadata: ["errno": "\(number)"])
  }

  private func openFile(_ subject: FuseRequest.Subject) -> OpenFile? {
    guard case .handle(let handle, _) = subject else { return nil }
    return try? fileSystem.handles.file(handle).file
  }

  private func path(of subject: FuseRequest.Subject, _ file: OpenFile?) -> String {
    let nodes = fileSystem.nodes
    switch subject {
    case .inode(let id): return nodes.shownPath(of: id)
    case .handle: return file?.name ?? "a closed file"
    case .name(let parent, let name):
      guard let name = try? name.get() else { return "a name that is none" }
      return "'\(nodes.path(of: NodeName(parent: parent, name: name)).printable)'"
    }
  }
}
