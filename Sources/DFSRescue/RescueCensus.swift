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
  /// What is to be read for them: holes have none, what was written over and is not settled counts twice.
  private(set) var storedBytes: UInt64 = 0
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
        let inode = try? Inode(id: id, row: row.value.bytes)
        // It is no object of the tree, but keeps the copies of a layer.
        if inode?.kind == .layer { return }
        inodes.insert(id)
        if let inode { count(inode) }
      case .entry(let parent, _):
        // The list of the files that are not settled names nothing.
        if parent == Self.unsettled { return }
        // A directory whose own row is lost is known by what is in it.
        inodes.insert(parent)
        guard let child = row.value.child else { return }
        if !named.insert(child).inserted { shared.insert(child) }
      case .attribute: break
      }
    }
    nameless = inodes.subtracting(named).subtracting([.root, Self.unsettled]).sorted()
  }

  /// Directory 0, which there is not.
  private static let unsettled = InodeID(0)

  private mutating func count(_ inode: Inode) {
    guard inode.kind == .regular else { return }
    files += 1
    bytes += inode.size
    storedBytes += inode.version?.storedBytes ?? 0
  }
}
