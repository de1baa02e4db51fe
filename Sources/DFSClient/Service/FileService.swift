public import DFSCore

/// A user's files over the four servers: namespace and contents, as a file system needs them. The class
/// `DFSClient` provides it; a test of the mount provides it from memory.
///
/// Every call may suspend; none blocks its thread. Every error is a `DFSError`.
public protocol FileService: ClusterStatus {
  /// Where a task that does nothing but ask servers goes on best, without a change of thread; what takes longer
  /// than a millisecond or blocks must not be done there. Nil: anywhere.
  var executor: (any TaskExecutor)? { get }

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

  /// Splits `content` into four parts, stores each on two servers and makes it the inode's version, or a layer
  /// over it, in one change. On an error the version before is whole.
  /// - Parameters:
  ///   - durable: on stable storage of every server that acknowledged, before returning.
  ///   - progress: bytes of the content stored so far, of all (called now and then).
  func publish(
    _ content: any ContentSource, as form: PublishForm, to target: PublishTarget, durable: Bool,
    progress: (@Sendable (UInt64) -> Void)?
  ) async throws -> Published

  /// Makes a version another file's: a copy, for which no byte moves as long as the first file still has it.
  /// - Parameter version: one of `source`, whose copies are held by this client (`pin`).
  /// - Returns: the inode after the change.
  func share(
    _ version: Version, of source: InodeID, to target: PublishTarget, durable: Bool
  ) async throws -> Inode

  /// Brings the copies of a version that is published to stable storage, and the change that names it.
  /// - Throws: an error that names a server, if fewer than three did it, or one could not.
  func sync(_ version: Version) async throws
  /// Which bytes of a version are stored, and which are holes.
  /// - Throws: what reading the indexes of its layers throws.
  func map(of version: Version) async throws -> VersionMap

  /// Bytes of a version, verified against their checksums; the range is clamped to the size. At
  /// most 1 MiB is returned at once (fewer only at the end or at that limit).
  /// - Throws: `incomplete` if a part that is asked for is on no server that is up; `damaged` if no
  ///   good copy is left.
  func read(_ version: Version, _ range: Range<UInt64>) async throws -> [UInt8]
  /// Somebody is about to open and read the file: as far as it is known, and if it is small, it begins to come.
  /// - Returns: how that call asks for the inode: with what is current, and no question more than needed.
  func expectReading(_ id: InodeID) -> Freshness

  /// Locks among all clients of the user; nil: there are none.
  var locks: (any LockService)? { get }

  /// Keeps the copies of a version for as long as it is open here, even if it is replaced: soon, or
  /// once `untilPinned` returned.
  func pin(_ version: Version)
  /// Unpins a version once; each `pin` needs an `unpin`.
  func unpin(_ version: Version)
  /// Returns when the servers know what is pinned.
  func untilPinned() async

  /// The space for contents over all servers, each byte of which is stored twice.
  /// - Throws: `serversMissing` if no server tells its own.
  func space() async throws -> SpaceReport

  // MARK: What others change

  /// A count that moves with every change of the namespace that is heard of, by others or by this
  /// client, and before `invalidations` tells of it; nil while changes of others may not be heard of.
  /// What was known at one count is true as long as the count is the same.
  var changes: UInt64? { get }

  /// What other clients changed, as servers push it, and what this one changed without being asked (it
  /// kept another's content). One stream for the life of the service.
  var invalidations: AsyncStream<Invalidation> { get }
}

extension FileService {
  public var executor: (any TaskExecutor)? { nil }
  public var locks: (any LockService)? { nil }

  /// Publishes a whole content.
  public func publish(
    _ content: any ContentSource, to target: PublishTarget, durable: Bool,
    progress: (@Sendable (UInt64) -> Void)?
  ) async throws -> Inode {
    try await publish(content, as: .whole(), to: target, durable: durable, progress: progress).inode
  }
}
