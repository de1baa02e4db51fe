internal import DFSCore
internal import DFSStore
internal import DFSSystem

/// What one pass over all rows tells before anything is written: how much there is, which inodes
/// have several names, and which have none.
///
/// Takes some tens of bytes of memory for each inode.
struct RescueCensus {
  private(set) var files = 0
  private(set) var bytes: UInt64 = 0
  /// Inodes that more than one entry names.
  private(set) var shared: Set<InodeID> = []
  /// Inodes and directories that no entry names, in the order of their numbers.
  private(set) var nameless: [InodeID] = []

  init(_ namespace: OfflineNamespace, _ progress: RescueProgress) throws {
    var inodes: Set<InodeID> = []
    var named: Set<InodeID> = []
    try namespace.forEach { row in
      try progress.checkInterruption()
      switch row.key {
      case .inode(let id):
        inodes.insert(id)
        count(id, row.value.bytes)
      case .entry(let parent, _):
        // A directory whose own row is lost is known by what is in it.
        inodes.insert(parent)
        guard let child = row.value.child else { return }
        if !named.insert(child).inserted { shared.insert(child) }
      case .attribute: break
      }
    }
    nameless = inodes.subtracting(named).subtracting([.root, InodeID(0)]).sorted()
  }

  private mutating func count(_ id: InodeID, _ row: [UInt8]) {
    guard let inode = try? Inode(id: id, row: row), inode.kind == .regular else { return }
    files += 1
    bytes += inode.size
  }
}
