internal import DFSClient
internal import DFSCore
internal import Glibc
internal import Logging

/// What the log says of operations that failed.
extension FileSystem {
  /// Answers that a program may not show, or not understand: the servers, the space or the local
  /// disk are the reason, not what it asked for.
  private static let refusals: Set<Int32> = [EROFS, ENOSPC, EDQUOT, EIO, ETIMEDOUT]

  /// One line for an error that is not an ordinary answer, with the path.
  /// - Returns: the errno that answers it.
  func note(
    _ error: DFSError, of operation: Operation, about subject: KernelRequest.Subject?
  ) -> Int32 {
    let number = error.errno(isChange: operation.isChange)
    guard Self.refusals.contains(number) || error.code == .fileTooLarge else {
      logger.trace("\(operation.name): \(error)", metadata: ["errno": "\(number)"])
      return number
    }
    let file = subject.flatMap(openFile)
    // That a file could not be stored was said when it was tried.
    if operation.effect == .store, let file, file.lastFailure == error { return number }
    let about = subject.map { " \(path(of: $0, file))" } ?? ""
    let outcome = operation.isChange ? "is refused" : "failed"
    context.refusals.log(
      .warning, "\(operation.name)\(about) \(outcome): \(error)", metadata: ["errno": "\(number)"])
    return number
  }

  private func openFile(_ subject: KernelRequest.Subject) -> OpenFile? {
    guard case .handle(let handle, _) = subject else { return nil }
    return try? handles.file(handle).file
  }

  private func path(of subject: KernelRequest.Subject, _ file: OpenFile?) -> String {
    switch subject {
    case .inode(let id): return nodes.shownPath(of: id)
    case .handle: return file?.name ?? "a closed file"
    case .name(let parent, let name):
      guard let name = try? name.get() else { return "a name that is none" }
      return "'\(nodes.path(of: NodeName(parent: parent, name: name)).printable)'"
    }
  }
}
