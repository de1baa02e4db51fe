public import DFSCore

/// What the mount and dfc use: a user's namespace and contents over the four servers. The class
/// `DFSClient` provides it; a test of the mount may provide it from memory.
///
/// Every call may suspend; none blocks its thread. Every error is a `DFSError`.
public protocol FileService: Sendable {
  // MARK: Reading the namespace

  /// - Throws: `staleHandle` if there is no such inode (any more), here and in what is done to one.
  func inode(_ id: InodeID, _ freshness: Freshness) async throws -> Inode
  /// - Throws: `notFound` if there is no such entry, `notDirectory` if `parent` is none.
  func lookup(_ parent: InodeID, _ name: FileName, _ freshness: Freshness) async throws -> Inode
  /// All entries with their inodes, in byte order of their names.
  func list(_ directory: InodeID, _ freshness: Freshness) async throws -> [DirectoryItem]

  // MARK: Changing the namespace; each is one atomic change, committed when the call returns

  /// Makes an object. Regular files begin without a version.
  /// - Throws: `exists` if the name is taken.
  func create(_ parent: InodeID, _ name: FileName, _ new: NewInode) async throws -> Inode
  /// Removes a name that is not a directory; the inode goes with its last name.
  /// - Returns: the inode as it was before.
  @discardableResult
  func unlink(_ parent: InodeID, _ name: FileName) async throws -> Inode
  /// Removes an empty directory.
  /// - Returns: the inode as it was before.
  /// - Throws: `notDirectory` if the name is another object's, `notEmpty` if there are entries.
  @discardableResult
  func removeDirectory(_ parent: InodeID, _ name: FileName) async throws -> Inode
  /// Takes back a file that was made here and never got a content: also where the write policy asks
  /// for more servers than answer, since it only undoes. Does nothing if the name means another file
  /// by now, or the file has a content.
  func discard(_ parent: InodeID, _ name: FileName, _ inode: InodeID) async throws
  /// Moves a name, within a directory or across (renameat2(2)).
  /// - Throws: `notFound` if there is no such name, `invalidArgument` if a directory would come
  ///   below itself.
  @discardableResult
  func rename(
    _ parent: InodeID, _ name: FileName, to newParent: InodeID, _ newName: FileName,
    _ mode: RenameMode
  ) async throws -> Renamed
  /// Gives an object one more name.
  /// - Throws: `exists` if the name is taken, `notPermitted` for a directory.
  func link(_ inode: InodeID, to parent: InodeID, _ name: FileName) async throws -> Inode
  /// A number that no other inode gets, for one that is named later (`PublishTarget.nameless`).
  func reserveInode() async throws -> InodeID
  /// - Returns: the inode after the change.
  func setAttributes(_ inode: InodeID, _ attributes: AttributeChange) async throws -> Inode

  /// All extended attributes of an inode, as fresh as `Freshness.pushed` says.
  func extendedAttributes(_ inode: InodeID) async throws -> [AttributeName: [UInt8]]
  /// The inode will not be asked for soon: the kernel has let go of it.
  func forget(_ id: InodeID)
  /// - Throws: `exists` or `noAttribute` as `mode` asks; `outOfRange` if the value has more than 64
  ///   KiB; `noSpace` if all attributes of the inode together are too large.
  func setExtendedAttribute(
    _ inode: InodeID, _ name: AttributeName, _ value: [UInt8], _ mode: AttributeSetMode)
    async throws
  /// - Throws: `noAttribute` if there is none of that name.
  func removeExtendedAttribute(_ inode: InodeID, _ name: AttributeName) async throws

  // MARK: Contents

  /// Splits `content` into four parts, stores each on two servers and makes it the inode's version
  /// in one change. On an error the version before is whole.
  /// - Parameters:
  ///   - durable: on stable storage of every server that acknowledged, before returning.
  ///   - progress: bytes of the content stored so far, of all (called now and then).
  /// - Returns: the inode after the change.
  func publish(
    _ content: any ContentSource, to target: PublishTarget, durable: Bool,
    progress: (@Sendable (UInt64) -> Void)?
  ) async throws -> Inode

  /// Bytes of a version, verified against their checksums; the range is clamped to the size. At
  /// most 1 MiB is returned at once (fewer only at the end or at that bound).
  /// - Throws: `incomplete` if a part that is asked for is on no server that is up; `damaged` if no
  ///   good copy is left.
  func read(_ version: Version, _ range: Range<UInt64>) async throws -> [UInt8]
  /// Somebody is about to read the file, as far as it is known: if it is small, it begins to come.
  func expectReading(_ id: InodeID)

  /// Whole blocks of one copy, from the server that is named and no other: for who checks copies, or
  /// wants what is left of them.
  /// - Parameter range: bytes of the part, clamped to it; the blocks that cover it are at most 1 MiB.
  /// - Throws: `notFound` if the server does not have the copy; `damaged` if any of the blocks is
  ///   bad; `disconnected` if the server is not up.
  func readCopy(
    _ version: Version, _ part: PartIndex, on server: ServerIndex, _ range: Range<UInt64>
  ) async throws -> CopyExtent

  /// Keeps the copies of a version for as long as it is open here, even if it is replaced: soon, or
  /// once `untilHeld` returned.
  func hold(_ version: VersionID)
  /// Lets go of a version once; each `hold` needs a `release`.
  func release(_ version: VersionID)
  /// Returns when the servers know what is held.
  func untilHeld() async

  /// Which parts of each version are found on the servers that are up: for each version and part
  /// the servers that have it.
  func copies(_ versions: [VersionID]) async throws -> [VersionID: Placement]

  /// The space for contents over all servers, each byte of which is stored twice.
  /// - Throws: `serversMissing` if no server tells its own.
  func space() async throws -> SpaceReport

  // MARK: Servers

  /// Which namespace this is; nil as long as no server has one.
  var namespaceID: NamespaceID? { get }

  /// The servers that are up and logged in, and why the others are not.
  func serverStates() async -> [ServerState]

  /// Servers that are not up are tried again at once, and waited for, at the longest `patience`.
  func reconnect(within patience: Duration) async

  // MARK: Health

  /// Brings the namespace and the copies of all servers that are up back to what they should be, as
  /// far as that can be done now.
  func heal(_ progress: @escaping @Sendable (HealReport) -> Void) async throws -> HealReport
  /// Believes from now on what one server alone says, though the others lose most of their rows by it.
  func acceptLoss() async
  /// What each server that is up tells of this user's copies; nothing for the others.
  func health() async -> ClusterHealth
  /// Lets the servers that are up read back all copies of this user.
  /// - Returns: those that began.
  func scrub() async -> ServerSet

  /// A count that moves with every change of the namespace that is heard of, by others or by this
  /// client, and before `invalidations` tells of it; nil while changes of others may not be heard of.
  /// What was known at one count is true as long as the count is the same.
  var changes: UInt64? { get }

  /// What other clients changed, as servers push it, and what this one changed without being asked (it
  /// kept another's content). One stream for the life of the service.
  var invalidations: AsyncStream<Invalidation> { get }

  /// Finishes what is under way and disconnects.
  func close() async
}

/// A service without servers: nothing to heal, no copies to read.
extension FileService {
  public var namespaceID: NamespaceID? { nil }
  public func heal(
    _ progress: @escaping @Sendable (HealReport) -> Void
  ) async throws -> HealReport { HealReport() }
  public func acceptLoss() async {}
  public func health() async -> ClusterHealth { ClusterHealth() }
  public func scrub() async -> ServerSet { [] }
  public func discard(_ parent: InodeID, _ name: FileName, _ inode: InodeID) async throws {
    let found = try await lookup(parent, name, .current)
    if found.id == inode, found.version == nil { try await unlink(parent, name) }
  }
  public func reconnect(within patience: Duration) async {}
  public func forget(_ id: InodeID) {}
  public func expectReading(_ id: InodeID) {}

  /// A service whose contents are not copies on servers has none to read.
  public func readCopy(
    _ version: Version, _ part: PartIndex, on server: ServerIndex, _ range: Range<UInt64>
  ) async throws -> CopyExtent {
    throw DFSError(.unsupported, "this service does not keep copies on servers")
  }
}

/// Whole blocks of one copy, as its server keeps them; each was compared with its checksum.
public struct CopyExtent: Hashable, Sendable {
  /// Each of `Limits.blockBytes`; the last of a part may be shorter.
  public let blocks: [[UInt8]]
  /// One for each of `blocks`, in the same order.
  public let checksums: [BlockChecksum]

  /// Blocks with their checksums; whoever read them has compared them.
  public init(blocks: [[UInt8]], checksums: [BlockChecksum]) {
    self.blocks = blocks
    self.checksums = checksums
  }

  /// The bytes of all blocks.
  public var byteCount: Int { blocks.reduce(0) { $0 + $1.count } }
}

/// How old the answer to a question about the namespace may be.
public enum Freshness: Sendable, Hashable {
  /// A cached answer is good as long as servers push changes.
  case pushed
  /// So is one that something is there; that it is not there is asked for anew.
  case pushedIfThere
  /// The answer has every change that was acknowledged before the call.
  case current
}

/// An entry of a directory with the inode that it leads to.
public struct DirectoryItem: Hashable, Sendable {
  /// The entry's name in the directory.
  public let name: FileName
  /// The inode as it was when the directory was listed.
  public let inode: Inode

  /// The entry `name` that leads to `inode`.
  public init(name: FileName, inode: Inode) {
    self.name = name
    self.inode = inode
  }
}

/// The attributes of an object to be made.
public struct NewInode: Hashable, Sendable {
  /// What is to be made; a regular file begins without a content.
  public var kind: FileKind
  /// The permission bits; other bits are dropped.
  public var mode: UInt32
  /// The user id of the owner.
  public var owner: UInt32
  /// The group id of the object.
  public var group: UInt32
  /// The device number of a device file; 0 for others.
  public var device: UInt64 = 0
  /// The target of a symbolic link, 1 to 4,095 bytes; empty for others.
  public var target: [UInt8] = []

  /// An object that is neither a device nor a symbolic link, until those fields are set.
  public init(kind: FileKind, mode: UInt32, owner: UInt32, group: UInt32) {
    self.kind = kind
    self.mode = mode
    self.owner = owner
    self.group = group
  }
}

/// What a rename does where the new name is taken, or must be.
public enum RenameMode: Hashable, Sendable {
  /// Replaces what has the new name.
  case replace
  /// Fails with `exists` if the new name is taken.
  case noReplace
  /// Both names change places; fails with `notFound` if the new name is free.
  case exchange
}

/// What a rename found, each as it was before.
public struct Renamed: Hashable, Sendable {
  /// What had the old name.
  public let moved: Inode
  /// What had the new name: it lost it, or has the old one (`exchange`).
  public let other: Inode?

  /// What a rename moved, and what it found; `other` is nil if the new name was free.
  public init(moved: Inode, other: Inode?) {
    self.moved = moved
    self.other = other
  }
}

/// Sets an extended attribute in any case, only if it is new, or only if it is there (setxattr(2)).
public enum AttributeSetMode: Hashable, Sendable { case set, create, replace }

/// What to change of an inode; nil leaves a field alone.
public struct AttributeChange: Hashable, Sendable {
  /// The permission bits; other bits are dropped.
  public var mode: UInt32?
  /// The user id of the owner.
  public var owner: UInt32?
  /// The group id of the object.
  public var group: UInt32?
  /// The time of access.
  public var accessed: Timestamp?
  /// The time of modification.
  public var modified: Timestamp?
  /// By reading: `accessed` is set only if the time of access is still this one, and the time of
  /// change stays.
  public var accessedBefore: Timestamp?
  /// A change of no field: it moves the time of change and nothing else.
  public init() {}
}

extension Inode {
  /// As by a process, not by reading.
  public mutating func perform(_ change: AttributeChange, at time: Timestamp) {
    if let mode = change.mode { self.mode = mode & 0o7777 }
    if let owner = change.owner { self.owner = owner }
    if let group = change.group { self.group = group }
    if let accessed = change.accessed { self.accessed = accessed }
    if let modified = change.modified { self.modified = modified }
    changed = time
  }
}

/// Where a published content goes.
public enum PublishTarget: Sendable {
  /// To this inode. `modified` becomes its time of modification, and `changed`, when the content was
  /// written last, its time of change, unless that is later already. If it has another version than
  /// `opened` says, that is kept as a file of its own. If another client removed the inode, the
  /// content becomes the file of its own, with the attributes that `opened` says: that is returned.
  /// - Throws: `staleHandle` if this client removed the inode, or `opened` says no attributes.
  case inode(InodeID, modified: Timestamp, changed: Timestamp, opened: OpenedVersion? = nil)
  /// Under this name, replacing a regular file of that name or making a new one.
  case name(parent: InodeID, FileName, NewInode)
  /// As the content of an inode that was reserved, which gets its attributes, and its first name.
  /// - Throws: `exists` if the name is taken.
  case nameless(
    Inode, [AttributeName: [UInt8]], modified: Timestamp, parent: InodeID, FileName)
}

/// What whoever publishes a content began from, and as what a content is kept that others published
/// meanwhile: `NAME (conflict HOST DATE)` in the same directory.
public struct OpenedVersion: Hashable, Sendable {
  /// Nil if the file had none.
  public let version: VersionID?
  /// The directory of the conflict copy; the root, if it is gone by then.
  public let parent: InodeID
  /// The name that the conflict copy's begins with.
  public let name: FileName
  /// The machine that publishes.
  public let host: String
  /// As what the content is kept if there is no such file any more; nil: then it is not.
  public let attributes: NewInode?

  /// A file `name` in `parent` that was opened with this version.
  public init(
    version: VersionID?, parent: InodeID, name: FileName, host: String,
    attributes: NewInode? = nil
  ) {
    self.version = version
    self.parent = parent
    self.name = name
    self.host = host
    self.attributes = attributes
  }
}

/// A content to be published: read many times, at any offset, from any thread.
public protocol ContentSource: Sendable {
  /// Bytes.
  var size: UInt64 { get }
  /// The MD5, if it was computed while the content was written.
  var md5: MD5Digest? { get }
  /// Reads exactly `buffer.count` bytes at `offset`; may block (it is called on a thread for that).
  func read(into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64) throws
}

/// Whether one server can be used at the moment, and why not.
public struct ServerState: Hashable, Sendable {
  /// Which of the four it is.
  public let server: ServerIndex
  /// Where the configuration says that it is.
  public let address: ServerAddress
  /// Connected, logged in and answering, and of the same cluster and namespace as the others.
  public let isUp: Bool
  /// Why it is not up, for people.
  public let problem: DFSError?
  /// It is not up and was up a moment ago: it may be starting again, or the net may come back.
  public let mayReturn: Bool

  /// The state of `server`; `problem` says why it is not up, if it is not.
  public init(
    server: ServerIndex, address: ServerAddress, isUp: Bool, problem: DFSError?,
    mayReturn: Bool = false
  ) {
    self.server = server
    self.address = address
    self.isUp = isUp
    self.problem = problem
    self.mayReturn = mayReturn
  }

  /// How long a server that was lost is waited for by a call that may take `callTimeout`.
  public static func patience(within callTimeout: Duration) -> Duration {
    min(.seconds(5), callTimeout / 6)
  }
}

/// What a listener must not believe any more.
public enum Invalidation: Hashable, Sendable {
  /// Rows that another client wrote.
  case rows([RowKey])
  /// Anything may have changed (a connection was lost).
  case everything
}
