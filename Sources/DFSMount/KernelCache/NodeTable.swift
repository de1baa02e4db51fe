internal import DFSClient
internal import DFSCore
internal import DFSSystem
internal import Synchronization

/// The inodes that the kernel knows: how often it looked each up, under which name last, and which
/// version its pages are of. An inode that is not here is unknown to the kernel, so nothing needs
/// to be invalidated for it.
///
/// It also keeps when each file was last published here: what was asked for before that and comes
/// after it is older than what open files had, and must be asked for again.
final class NodeTable: Sendable {
  fileprivate struct Node {
    var lookups: UInt64 = 0
    var name: NodeName?
    var cachedVersion: VersionID?
    var size = ToldSize.unknown
    /// How many are just making the kernel forget its attributes.
    var drops = 0
    /// When it was made to forget them last, for others changed them.
    var forgotten: ContinuousClock.Instant?
    /// Counts the beginnings and the ends of that.
    var forgettings: UInt64 = 0
  }

  /// Which size of a file the kernel was told since it was made to forget the one before. Of several
  /// answers it may take any.
  fileprivate enum ToldSize: Equatable {
    case unknown
    case one(VersionID, UInt64)
    /// Several, or it has another by itself.
    case any
  }

  fileprivate struct State {
    var nodes: [InodeID: Node] = [:]
    /// Of the nodes, those whose last name was removed here, as they were then.
    var removed: [InodeID: Inode] = [:]
    var published: [InodeID: UInt64] = [:]
    var mark: UInt64 = 0
    /// Of publishes up to here it is not known any more what they published.
    var forgotten: UInt64 = 0
  }

  private static let publishedCount = 1024
  /// Longer than a request takes from where the kernel notes what it knows already until it is read here.
  private static let doubt = Duration.milliseconds(10)
  /// Nodes for which there may be room though they are gone.
  fileprivate static let keptCapacity = 4096
  private let state = Mutex(State())

  // MARK: What the kernel knows

  /// Counts one lookup under this name.
  func remember(_ id: InodeID, as name: NodeName?) {
    state.withLock { state in
      state.nodes[id, default: Node()].lookups += 1
      if let name { state.nodes[id]?.name = name }
    }
  }

  /// - Returns: whether the kernel does not know it any more.
  @discardableResult
  func forget(_ id: InodeID, _ count: UInt64) -> Bool {
    state.withLock { state in
      guard var node = state.nodes[id] else { return false }
      node.lookups -= min(count, node.lookups)
      guard node.lookups == 0 else {
        state.nodes[id] = node
        return false
      }
      state.nodes[id] = nil
      state.removed[id] = nil
      state.shrink()
      return true
    }
  }

  func knows(_ id: InodeID) -> Bool {
    id == .root || state.withLock { $0.nodes[id] != nil }
  }

  /// The name by which the kernel saw the inode last.
  func name(of id: InodeID) -> NodeName? { state.withLock { $0.nodes[id]?.name } }

  /// The name by which the kernel saw the inode last, if that is another and the inode has one only.
  func otherName(of inode: Inode, than name: NodeName) -> NodeName? {
    guard inode.kind == .directory || inode.links == 1, let known = self.name(of: inode.id),
      known != name
    else { return nil }
    return known
  }

  func rename(_ id: InodeID, to name: NodeName) {
    state.withLock { if $0.nodes[id] != nil { $0.nodes[id]?.name = name } }
  }

  /// The inode no longer has this name.
  func drop(_ name: NodeName, of id: InodeID) {
    state.withLock { if $0.nodes[id]?.name == name { $0.nodes[id]?.name = nil } }
  }

  /// The kernel knows no name of the inode: it is let go of, or just was.
  func loseName(of id: InodeID) { state.withLock { $0.nodes[id]?.name = nil } }

  /// The inode lost its last name here; whoever has it open still asks for it.
  func noteRemoved(_ inode: Inode) {
    state.withLock { state in
      guard state.nodes[inode.id] != nil else { return }
      var inode = inode
      inode.links = 0
      inode.changed = .now
      state.removed[inode.id] = inode
    }
  }

  /// An inode without a name that the kernel still knows.
  func removed(_ id: InodeID) -> Inode? { state.withLock { $0.removed[id] } }

  /// - Returns: nil if it has a name, as far as is known here, or the kernel does not know it.
  func changeRemoved(_ id: InodeID, _ change: AttributeChange) -> Inode? {
    state.withLock { state in
      state.removed[id]?.perform(change, at: .now)
      return state.removed[id]
    }
  }

  /// Everything known, for when anything may have changed.
  var all: [(id: InodeID, name: NodeName?)] {
    state.withLock { $0.nodes.map { ($0.key, $0.value.name) } }
  }

  var count: Int { state.withLock { $0.nodes.count } }
  /// How many there is room for.
  var capacity: Int { state.withLock { $0.nodes.capacity } }

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

  /// Whether the kernel has read some version through its pages, and may have kept them.
  func hasPages(_ id: InodeID) -> Bool { state.withLock { $0.nodes[id]?.cachedVersion != nil } }

  /// The kernel's pages are those of `version` (nil: of no version): it reads it through them, so it
  /// has got the answer to its open; or it was written through them.
  func notePages(of version: VersionID?, _ id: InodeID) {
    state.withLock { $0.nodes[id]?.cachedVersion = version }
  }

  // MARK: The kernel's attributes

  /// The kernel is about to be told a size; of which version, if it is that of one.
  func noteTold(_ size: UInt64, of version: VersionID?, _ id: InodeID) {
    state.withLock { state in
      guard let node = state.nodes[id] else { return }
      let told = version.map { ToldSize.one($0, size) } ?? .any
      let isOnly = node.drops == 0 && (node.size == .unknown || node.size == told)
      state.nodes[id]?.size = isOnly ? told : .any
    }
  }

  /// The kernel may have a size that it was not told.
  func noteOwnSize(_ id: InodeID) { state.withLock { $0.nodes[id]?.size = .any } }

  /// Whether the kernel can have no other size of the file but this one.
  func wasTold(_ size: UInt64, of version: VersionID, _ id: InodeID) -> Bool {
    state.withLock { $0.nodes[id]?.size == .one(version, size) }
  }

  /// Makes the kernel forget what it was told of an inode.
  /// - Parameter isChanged: others changed it.
  func dropping(_ id: InodeID, isChanged: Bool = true, _ drop: () -> Void) {
    state.withLock { state in
      state.nodes[id]?.size = .unknown
      state.nodes[id]?.drops += 1
      if isChanged { state.nodes[id]?.forgettings += 1 }
    }
    drop()
    state.withLock { state in
      // It may have been forgotten, and looked up again.
      if let drops = state.nodes[id]?.drops, drops > 0 { state.nodes[id]?.drops = drops - 1 }
      if isChanged {
        state.nodes[id]?.forgotten = .now
        state.nodes[id]?.forgettings += 1
      }
    }
  }

  /// Whether the kernel is just being made to forget the inode's attributes, or was a moment ago: an answer that
  /// it asked for before that it throws away, though here it looks like one from after it.
  func isForgetting(_ id: InodeID) -> Bool {
    state.withLock { state in
      guard let node = state.nodes[id] else { return false }
      return node.drops > 0 || node.forgotten.map { $0 + Self.doubt > .now } ?? false
    }
  }

  /// A point in what the kernel is made to forget of an inode: as long as it is the same, all that the kernel
  /// asked for after it was read here counts.
  func forgettings(of id: InodeID) -> UInt64 {
    state.withLock { $0.nodes[id]?.forgettings ?? 0 }
  }

  // MARK: What was published here

  /// A point in time, for `wasPublished`.
  var mark: UInt64 { state.withLock { $0.mark } }

  /// A content was published here; to be called before its open file says so.
  func notePublished(_ id: InodeID) {
    state.withLock { state in
      state.mark += 1
      state.published[id] = state.mark
      guard state.published.count > 2 * Self.publishedCount else { return }
      state.forgotten = state.mark - UInt64(Self.publishedCount)
      state.published = state.published.filter { $0.value > state.forgotten }
    }
  }

  /// Whether a content of the inode was, or may have been, published here since `mark`: then an answer
  /// that was asked for at `mark` may be older than what open files said meanwhile.
  func wasPublished(_ id: InodeID, since mark: UInt64) -> Bool {
    state.withLock { $0.forgotten > mark || ($0.published[id] ?? 0) > mark }
  }
}

/// Paths, as far as the kernel knows their names.
extension NodeTable {
  /// The names from the root on (`ByteText`).
  func path(of name: NodeName) -> String {
    var (names, directory) = ([name.name.text], name.parent)
    while directory != .root, names.count < 1024 {
      guard let above = self.name(of: directory) else {
        return "…/" + names.reversed().joined(separator: "/")
      }
      names.append(above.name.text)
      directory = above.parent
    }
    return names.reversed().joined(separator: "/")
  }

  /// For people.
  func shownPath(of id: InodeID) -> String {
    if id == .root { return "the root" }
    return name(of: id).map { "'\(path(of: $0).printable)'" } ?? "inode \(id)"
  }
}

extension NodeTable.State {
  /// Gives back the room of nodes that are gone: a dictionary by itself keeps it for ever.
  fileprivate mutating func shrink() {
    guard nodes.capacity > NodeTable.keptCapacity, nodes.count < nodes.capacity / 8 else { return }
    nodes = Dictionary(uniqueKeysWithValues: nodes.map { ($0.key, $0.value) })
  }
}
