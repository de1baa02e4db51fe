package import DFSCore
internal import DFSSystem
internal import Synchronization

/// The 256 folders of `parts/`, made when they are first needed.
///
/// Invariant: after `sync` of a folder, the folder itself and the names in it are on stable storage.
package final class PartFolders: Sendable {
  private let directory: String
  /// Folders whose own name may not be on stable storage yet.
  private let fresh = Mutex<Set<String>>([])

  package init(directory: String) { self.directory = directory }

  package func path(of version: VersionID) -> String {
    "\(directory)/\(version.description.prefix(2))"
  }

  func make(_ path: String) throws(DFSError) {
    // In one step: whoever finds the folder there also finds that it is fresh.
    let result = fresh.withLock { fresh in
      Result { () throws(DFSError) in
        if try Disk.makeUnsyncedDirectory(path) { fresh.insert(path) }
      }
    }
    try result.get()
  }

  func sync(_ path: String) throws(DFSError) {
    if fresh.withLock({ $0.contains(path) }) {
      try Disk.syncDirectory(directory)
      fresh.withLock { _ = $0.remove(path) }
    }
    try Disk.syncDirectory(path)
  }
}
