internal import DFSClient
internal import DFSConfiguration
internal import DFSCore
internal import Logging
internal import Synchronization

/// POSIX over a `FileService`: one method per operation of the kernel, each of which suspends, and
/// returns or throws its only answer. It knows nothing of libfuse; the numbers of inodes are those
/// of the namespace.
final class FileSystem: Sendable {
  let service: any FileService
  let context: FileContext
  let kernel: KernelCache
  let files = OpenFileTable()
  let handles = HandleTable()
  let looks = SecondLooks()
  let listings = RecentListings()
  /// Locks among all mounts; nil: they are the kernel's.
  let locks: (any LockService)?
  let lockOwners = LockOwners()
  let shownSizes = ShownSizes()
  let space: SpaceCache
  let logger: Logger
  /// What becomes of what cannot be stored; `dfc recover` lists all that is kept.
  let keepLog: RefusalLog
  /// Where what cannot be stored is kept.
  let keeping: KeptFiles
  /// Whose files these are: `USER@CLUSTER`.
  let source: String
  /// Files that are being closed without the kernel's asking for it.
  let closing = Mutex(0)
  /// Files of which changes of attributes wait for the content to be published.
  let deferring = Mutex<[InodeID]>([])
  /// The attributes of the root as they were last seen.
  let lastRoot = Mutex<Attributes?>(nil)
  /// The kernel's number of the mount, as /proc shows it.
  let mountID = Mutex("")
  /// Its device, `MAJOR:MINOR`.
  let device = Mutex("")
  let allowsOthers: Bool
  let movesAccessTimes: Bool
  /// Times of access that the servers are just told.
  let accesses = Mutex<[InodeID: Timestamp]>([:])

  init(
    service: any FileService, configuration: MountConfiguration, source: String, logger: Logger
  ) {
    keeping = KeptFiles(cache: configuration.cacheDirectory, limit: configuration.spoolBytes)
    keepLog = RefusalLog(logger)
    self.source = source
    self.service = service
    self.logger = logger
    space = SpaceCache(service)
    locks = configuration.options.locksAmongAll ? service.locks : nil
    allowsOthers = configuration.options.allowOther
    movesAccessTimes = configuration.options.movesAccessTimes
    kernel = KernelCache(
      configuration.options, changes: { service.changes }, namespace: { service.namespaceID })
    var context = FileContext(
      service: service, kernel: kernel,
      spools: SpoolBudget(
        directory: configuration.cacheDirectory, diskLimit: configuration.spoolBytes,
        memoryPerFile: configuration.spoolMemoryBytes),
      writes: configuration.writes, layers: configuration.options.layers,
      host: MountConfiguration.hostName, logger: logger,
      patience: ServerState.patience(within: .seconds(configuration.callTimeoutSeconds)))
    context.locks = locks
    self.context = context
    locks?.serve(LockUse(self))
  }

  /// What the kernel knows.
  var nodes: NodeTable { kernel.nodes }

  /// Whom attributes are for.
  enum Audience: Hashable, Sendable {
    /// Who asked for them, by stat(2).
    case caller(Caller)
    /// The kernel, which cuts or fills up with their size what handles read.
    case kernel
  }

  /// The attributes of an inode that was asked for at `mark`, with what its open file has.
  func attributes(
    _ inode: Inode, since mark: KernelCache.Mark, for audience: Audience = .kernel
  ) -> Attributes {
    withAccess(told(inode, for: audience) ?? kernel.attributes(inode, since: mark))
  }

  /// The same, as they were at one moment after `mark`: the inode may be from before a publish, and the
  /// open file from after it, or closed.
  func consistent(
    _ inode: Inode, since mark: KernelCache.Mark, _ caller: Caller, for audience: Audience
  ) async throws -> Attributes {
    let attributes = attributes(inode, since: mark, for: audience)
    guard kernel.isOvertaken(inode.id, since: mark) else { return attributes }
    return try await currentAttributes(of: inode.id, caller, for: audience)
  }

  /// The same, as stat(2) shows them: also to who reads the file and stands at its end, where it goes on now.
  func shown(
    _ inode: Inode, since mark: KernelCache.Mark, _ caller: Caller
  ) async throws -> Attributes {
    await follow(inode, caller)
    return try await consistent(inode, since: mark, caller, for: .caller(caller))
  }

  /// The attributes of an inode that is open here, else nil.
  func told(_ inode: Inode, for audience: Audience) -> Attributes? {
    let open = files.open(inode.id)
    guard let file = open.joined ?? open.paged else { return nil }
    let attributes = kernel.told(file.overlay(inode), of: file, paged: open.paged)
    guard case .caller(let caller) = audience, !file.isDirty, isBehind(inode) else {
      return attributes
    }
    return attributes.shown(size: size(of: inode, shownTo: caller))
  }

  func entry(
    _ parent: InodeID, _ name: FileName, _ inode: Inode, since mark: KernelCache.Mark,
    _ caller: Caller
  ) async throws -> Entry {
    Entry(
      name: NodeName(parent: parent, name: name),
      attributes: try await shown(inode, since: mark, caller))
  }

  /// The entry of an inode that was just made, or that a change gave another name.
  func made(
    _ parent: InodeID, _ name: FileName, _ inode: Inode, since mark: KernelCache.Mark,
    _ caller: Caller
  ) async -> Entry {
    Entry(
      name: NodeName(parent: parent, name: name),
      attributes: (try? await consistent(inode, since: mark, caller, for: .kernel))
        ?? attributes(inode, since: mark))
  }

  /// The kernel has let go of an inode that it was told so often.
  func forget(_ id: InodeID, _ count: UInt64) {
    if nodes.forget(id, count) { service.forget(id) }
  }
}
