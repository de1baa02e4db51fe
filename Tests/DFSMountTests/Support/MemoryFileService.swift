import DFSClient
import DFSCore
import Synchronization

/// A user's namespace and contents in memory: what `FileService` promises, without servers. Several
/// mounts may share one; each uses its own `MemoryClient`.
final class MemoryFiles: Sendable {
  struct State: Sendable {
    var inodes: [InodeID: Inode] = [:]
    var entries: [InodeID: [FileName: InodeID]] = [.root: [:]]
    var attributes: [InodeID: [AttributeName: [UInt8]]] = [:]
    var contents: [VersionID: [UInt8]] = [:]
    var holds: [VersionID: Int] = [:]
    /// Published as layers so far.
    var layers = 0
    /// Published as those of other files.
    var shares = 0
    /// Brought to stable storage without being published again.
    var syncs = 0
    /// So many of the next ones fail.
    var failingSyncs = 0
    var nextID: UInt64 = 256
    var publishes = 0
    var durablePublishes = 0
    /// Changes of attributes that came without a content.
    var attributeChanges = 0
    /// How often a name or an inode was asked for.
    var asked = 0
    var reads = 0
    var bytesRead = 0
    /// What every publish is refused with, as if servers were away.
    var refusal: DFSError?
    /// What every read of a content is refused with.
    var readRefusal: DFSError?
    var states: [ServerState] = []
    /// Publishing waits until this is over.
    var publishDelay: Duration = .zero
    /// Whether what was replaced is kept for a while, as servers do.
    var keepsReplaced = false
    /// What another client does, unheard of, as soon as this name was looked up the next times; each
    /// once.
    var overtakers: [FileName: [@Sendable (inout MemoryFiles.State) -> Void]] = [:]
    var readDelay: Duration = .zero
    /// Reads that wait until their delay is over.
    var waitingReads = 0
    /// The answers to publishes, changes of attributes and renames come so long after they were done.
    var answerDelay: Duration = .zero
    /// Whether clients are told what others change.
    var isPushing = true
    /// Whether clients may believe that they are.
    var hearsChanges = true
  }

  let state: Mutex<State>
  private let observers = Mutex<[ObjectIdentifier: @Sendable ([RowKey]) -> Void]>([:])

  init() {
    let root = Inode(
      id: .root, kind: .directory, mode: 0o755, owner: 0, group: 0, links: 2,
      time: Timestamp(nanoseconds: 0))
    state = Mutex(State(inodes: [.root: root]))
  }

  func set(_ change: @Sendable (inout State) -> Void) { state.withLock { change(&$0) } }

  func observe(_ client: AnyObject, _ tell: @escaping @Sendable ([RowKey]) -> Void) {
    observers.withLock { $0[ObjectIdentifier(client)] = tell }
  }

  func changed(_ keys: [RowKey], by client: AnyObject) {
    guard state.withLock({ $0.isPushing }) else { return }
    for (other, tell) in observers.withLock({ $0 }) where other != ObjectIdentifier(client) {
      tell(keys)
    }
  }
}

extension MemoryFiles.State {
  func inode(_ id: InodeID) throws(DFSError) -> Inode {
    guard let inode = inodes[id] else { throw DFSError(.staleHandle, "no inode \(id)") }
    return inode
  }

  func directory(_ id: InodeID) throws(DFSError) -> [FileName: InodeID] {
    guard let inode = inodes[id] else { throw DFSError(.notFound, "no directory \(id)") }
    guard inode.kind == .directory, let entries = entries[id] else {
      throw DFSError(.notDirectory, "inode \(id) is not a directory")
    }
    return entries
  }

  func lookup(_ parent: InodeID, _ name: FileName) throws(DFSError) -> Inode {
    guard let id = try directory(parent)[name] else {
      throw DFSError(.notFound, "no entry '\(name)'")
    }
    return try inode(id)
  }

  mutating func create(
    _ parent: InodeID, _ name: FileName, _ new: NewInode
  ) throws(DFSError) -> Inode {
    guard try directory(parent)[name] == nil else { throw DFSError(.exists, "'\(name)' exists") }
    let id = InodeID(nextID)
    nextID += 1
    var inode = Inode(
      id: id, kind: new.kind, mode: new.mode, owner: new.owner, group: new.group, time: time(),
      device: new.device, target: new.target)
    if new.kind == .directory {
      inode.links = 2
      inode.parent = parent
      entries[id] = [:]
      inodes[parent]?.links += 1
    }
    inodes[id] = inode
    entries[parent]?[name] = id
    touch(parent)
    return inode
  }

  mutating func name(
    _ inode: Inode, _ values: [AttributeName: [UInt8]], _ parent: InodeID, _ name: FileName
  ) throws(DFSError) {
    guard try directory(parent)[name] == nil else { throw DFSError(.exists, "'\(name)' exists") }
    inodes[inode.id] = inode
    inodes[inode.id]?.links = 1
    attributes[inode.id] = values
    entries[parent]?[name] = inode.id
    touch(parent)
  }

  mutating func touch(_ id: InodeID) {
    let now = time()
    inodes[id]?.modified = now
    inodes[id]?.changed = now
  }

  func time() -> Timestamp {
    let since = ContinuousClock.now - MemoryFiles.State.epoch
    return Timestamp(
      nanoseconds: 1_700_000_000_000_000_000 + since.components.seconds * 1_000_000_000
        + since.components.attoseconds / 1_000_000_000)
  }

  private static let epoch = ContinuousClock.now

  /// Takes one name of an inode away.
  mutating func drop(_ parent: InodeID, _ name: FileName, _ inode: Inode) {
    entries[parent]?[name] = nil
    touch(parent)
    if inode.kind == .directory {
      inodes[parent]?.links -= 1
      entries[inode.id] = nil
      inodes[inode.id] = nil
    } else if inode.links <= 1 {
      inodes[inode.id] = nil
      attributes[inode.id] = nil
      collect(inode.version?.id)
    } else {
      inodes[inode.id]?.links -= 1
    }
  }

  mutating func overtake(_ parent: InodeID, _ name: FileName) {
    guard overtakers[name]?.isEmpty == false else { return }
    overtakers[name]?.removeFirst()(&self)
  }

  /// Replaces a file as another client does by rename, or removes it.
  /// - Parameter content: nil to remove it.
  mutating func replace(_ name: FileName, by content: [UInt8]?) {
    if let id = entries[.root]?[name], let inode = inodes[id] { drop(.root, name, inode) }
    let new = NewInode(kind: .regular, mode: 0o644, owner: 0, group: 0)
    guard let content, let inode = try? create(.root, name, new) else { return }
    let md5 = MD5Digest.of(content)
    let version = Content(
      id: .random(), size: UInt64(content.count), md5: md5, placement: Placement(md5: md5),
      partDigests: Array(repeating: BlockChecksum(0), count: 4))
    inodes[inode.id]?.version = Version(version)
    contents[version.id] = content
  }

  /// Forgets a content that nobody names or holds.
  mutating func collect(_ version: VersionID?) {
    guard let version, holds[version] == nil, !keepsReplaced else { return }
    contents[version] = nil
  }
}
