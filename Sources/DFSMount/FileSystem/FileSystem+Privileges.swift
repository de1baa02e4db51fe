internal import DFSClient
internal import DFSCore
internal import Glibc
internal import Synchronization

/// Writing takes privileges away (capabilities(7), chmod(2)): `security.capability`, and if it is not
/// root who writes, setuid and setgid. The kernel sees to it, but for what goes past its pages.
extension FileSystem {
  func mustClear(_ handle: FileHandle, _ caller: Caller) -> Bool {
    guard handle.isPastPages else { return false }
    return !lacksCapability(handle.file.id) || caller.user != 0 && handle.file.privileges != 0
  }

  func clearPrivileges(_ file: OpenFile, _ caller: Caller) async throws {
    try await removeCapability(of: file.id, caller)
    let privileges = file.privileges
    guard caller.user != 0, privileges != 0 else { return }
    var change = AttributeChange()
    change.mode = file.state.withLock { $0.inode.mode } & ~privileges
    try await self.change(file, change)
  }
}
