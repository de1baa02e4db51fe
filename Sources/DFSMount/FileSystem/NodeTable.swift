internal import DFSCore
internal import Synchronization

/// The inodes that the kernel knows: how often it looked each up, under which name last, and which
/// version its pages are of. An inode that is not here is unknown to the kernel, so nothing needs
/// to be invalidated for it.
///
/// It also keeps the inodes as published here a short while ago: an answer that was asked for
/// before a publish ended and comes after it would else take the file back in time.
final class NodeTable: Sendable {
  private struct Node {
    var lookups: UInt64 = 0
    var name: NodeName?
    var cachedVersion: VersionID?
    /// As it was when its last name was removed here.
    var removed: Inode?
  }

  private struct State {
    var nodes: [InodeID: Node] = [:]
    var published: [InodeID: (mark: UInt64, inode: Inode)] = [:]
    var publishedOrder: [InodeID] = []
    var mark: UInt64 = 0
  }

  private static let publishedCount = 1024
  private let state = Mutex(State())

  // MARK: What the kernel knows

  /// Counts one lookup under this name.
  func remember(_ id: InodeID, as name: NodeName?) {
    state.withLock { state in
      state.nodes[id, default: Node()].lookups += 1
      if let name { state.nodes[id]?.name = name }
    }
  }

  func forget(_ id: InodeID, _ count: UInt64) {
    state.withLock { state in
      guard var node = state.nodes[id] else { return }
      node.lookups -= min(count, node.lookups)
      state.nodes[id] = node.lookups == 0 ? nil : node
    }
  }

  func knows(_ id: InodeID) -> Bool {
    id == .root || state.withLock { $0.nodes[id] != nil }
  }

  /// The name by which the kernel saw the inode last.
  func name(of id: InodeID) -> NodeName? { state.withLock { $0.nodes[id]?.name } }

  func rename(_ id: InodeID, to name: NodeName) {
    state.withLock { if $0.nodes[id] != nil { $0.nodes[id]?.name = name } }
  }

  /// The inode no longer has this name.
  func drop(_ name: NodeName, of id: InodeID) {
    state.withLock { if $0.nodes[id]?.name == name { $0.nodes[id]?.name = nil } }
  }

  /// The inode lost its last name here; whoever has it open still asks for it.
  func noteRemoved(_ inode: Inode) {
    state.withLock { state in
      guard state.nodes[inode.id] != nil else { return }
      var inode = inode
      inode.links = 0
      inode.changed = .now
      state.nodes[inode.id]?.removed = inode
    }
  }

  /// An inode without a name that the kernel still knows.
  func removed(_ id: InodeID) -> Inode? { state.withLock { $0.nodes[id]?.removed } }

  /// Everything known, for when anything may have changed.
  var all: [(id: InodeID, name: NodeName?)] {
    state.withLock { $0.nodes.map { ($0.key, $0.value.name) } }
  }

  var count: Int { state.withLock { $0.nodes.count } }

  // MARK: The kernel's pages

  /// Whether the kernel's pages are those of `version`. If not, the kernel drops them when it gets
  /// the answer to this open; until then nothing is known of them, and another open whose answer
  /// overtakes this one must not keep them.
  func keepsPages(of version: VersionID?, _ id: InodeID) -> Bool {
    state.withLock { state in
      if let version, state.nodes[id]?.cachedVersion == version { return true }
      state.nodes[id]?.cachedVersion = nil
      return false
    }
  }

  /// The kernel's pages are those of `version` (nil: of no version): it reads it through them, so it
  /// has got the answer to its open; or it was written through them.
  func notePages(of version: VersionID?, _ id: InodeID) {
    state.withLock { $0.nodes[id]?.cachedVersion = version }
  }

  // MARK: What was published here

  /// A point in time, for `newest`.
  var mark: UInt64 { state.withLock { $0.mark } }

  func note(_ inode: Inode) {
    state.withLock { state in
      state.mark += 1
      if state.published.updateValue((state.mark, inode), forKey: inode.id) == nil {
        state.publishedOrder.append(inode.id)
      }
      guard state.publishedOrder.count > 2 * Self.publishedCount else { return }
      let bound = state.mark - UInt64(Self.publishedCount)
      state.published = state.published.filter { $0.value.mark > bound }
      state.publishedOrder = state.publishedOrder.filter { state.published[$0] != nil }
    }
  }

  /// The inode as asked for at `mark`, or as it was published here since.
  func newest(_ inode: Inode, since mark: UInt64) -> Inode {
    state.withLock { state in
      guard let published = state.published[inode.id], published.mark > mark else { return inode }
      return published.inode
    }
  }
}
