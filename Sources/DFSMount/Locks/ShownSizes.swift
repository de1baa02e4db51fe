internal import CLinux
internal import DFSCore
internal import Logging
internal import Synchronization

/// Files of which the kernel may have the size of a version before: they went on with what another mount wrote.
///
/// A reader through the kernel's pages reads no further than the kernel's size. At that end the kernel asks for the
/// size, but throws the answer away if a write to the file ends meanwhile, and the reader is told that the file ends
/// where it ended before (fuse_change_attributes_i of Linux). So who gets a lock gets it once the kernel has the size.
final class ShownSizes: Sendable {
  private let state = Mutex<(doubts: [InodeID: UInt64], next: UInt64)>(([:], 0))

  func doubt(_ id: InodeID) {
    state.withLock { state in
      state.next += 1
      state.doubts[id] = state.next
    }
  }

  /// - Returns: nil if there is none.
  fileprivate func doubt(of id: InodeID) -> UInt64? { state.withLock { $0.doubts[id] } }

  fileprivate func end(_ doubt: UInt64, of id: InodeID) {
    state.withLock { if $0.doubts[id] == doubt { $0.doubts[id] = nil } }
  }
}

extension FileSystem {
  /// Longer than writes of others can keep the kernel from taking an answer.
  private static let patience = Duration.seconds(1)

  /// Has the kernel ask for the size of a file until it has it.
  /// - Parameter caller: has it open.
  func showSize(of id: InodeID, to caller: Caller) async {
    guard let doubt = shownSizes.doubt(of: id) else { return }
    defer { shownSizes.end(doubt, of: id) }
    guard let file = files.paged(id) else { return }
    let mount = mountID.withLock { $0 }
    // It waits for answers of this process.
    let isShown = try? await Blocking.run(within: Self.patience) {
      guard let path = caller.path(to: id, mount: mount) else { return false }
      let end = ContinuousClock.now + Self.patience
      repeat {
        // What is written meanwhile makes it grow, here first.
        let known = dfs_size(path, 0)
        if known < 0 || known == file.size { return known >= 0 }
        _ = dfs_size(path, 1)
      } while ContinuousClock.now < end
      return false
    }
    if isShown != true {
      logger.debug("it cannot be told whether the kernel has the size of \(file.name)")
    }
  }
}
