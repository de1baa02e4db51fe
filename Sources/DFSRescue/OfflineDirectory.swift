internal import DFSCore
internal import DFSStore
internal import DFSSystem
internal import Glibc

/// A server's directory of which no server runs, or a copy of one: who was its server, and which
/// users have something in it.
///
/// Invariant: nothing in it is opened for writing, made, renamed or removed.
struct OfflineDirectory: Sendable {
  let path: String
  /// nil where the identity is missing or cannot be read: what is in the directory counts all the
  /// same, since all of it is verified.
  let identity: StoreIdentity?
  let users: [UserName]

  /// - Throws: `busy` if a server has the directory, `notFound` if there is none, `configuration` if
  ///   a newer release wrote it.
  init(_ path: String) throws(DFSError) {
    guard let names = try Disk.names(in: path) else {
      throw DFSError(
        .notFound, "there is no directory \(path.printable); leave it out, or name the right one"
      )
    }
    self.path = path
    try Self.refuseLive(path)
    do {
      identity = try StoreIdentity.read("\(path)/.dfs/identity")
    } catch {
      guard error.code == .damaged || error.code == .inputOutput else { throw error }
      identity = nil
    }
    users = names.compactMap { try? UserName($0) }.filter { Self.isUser("\(path)/\($0)") }
  }

  private static func isUser(_ path: String) -> Bool {
    Disk.exists("\(path)/\(NamespaceDatabase.fileName)")
      || Disk.isDirectory("\(path)/parts")
  }

  /// The lock is only tried: a shared one, for as long as it takes to let go of it again.
  private static func refuseLive(_ path: String) throws(DFSError) {
    let lock: File
    do {
      lock = try File("\(path)/.dfs/lock", flags: O_RDONLY)
    } catch {
      if error.code == .notFound { return }
      throw error
    }
    guard flock(lock.descriptor, LOCK_SH | LOCK_NB) != 0 else {
      flock(lock.descriptor, LOCK_UN)
      return
    }
    guard errno == EWOULDBLOCK else { throw .system("trying the lock of", path) }
    throw DFSError(
      .busy,
      "\(path.printable) is in use by a running dfs, which may change it at any time; stop that "
        + "server first, or copy its directory while it is stopped and name the copy")
  }

  /// `DFS1 in /mnt/disk1/DFS1`, as far as it is known.
  var title: String {
    guard let identity else { return path.printable }
    return "\(identity.name) in \(path.printable)"
  }
}
