internal import DFSClient
internal import DFSCore
internal import Logging
internal import Synchronization

/// POSIX over a `FileService`: one method per operation of the kernel, each of which suspends, and
/// returns or throws its only answer. It knows nothing of libfuse; the numbers of inodes are those
/// of the namespace.
final class FileSystem: Sendable {
  let service: any FileService
  let context: FileContext
  let nodes = NodeTable()
  let files = OpenFileTable()
  let handles = HandleTable()
  let looks = SecondLooks()
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
    keeping = KeptFiles(cache: configuration.cacheDirectory, bound: configuration.spoolBytes)
    keepLog = RefusalLog(logger)
    self.source = source
    self.service = service
    self.logger = logger
    space = SpaceCache(service)
    allowsOthers = configuration.options.allowOther
    movesAccessTimes = configuration.options.movesAccessTimes
    context = FileContext(
      service: service, nodes: nodes,
      spools: SpoolBudget(
        directory: configuration.cacheDirectory, diskLimit: configuration.spoolBytes,
        memoryPerFile: configuration.spoolMemoryBytes,
        holeBytes: configuration.options.holeBytes),
      writes: configuration.writes, host: MountConfiguration.hostName, logger: logger,
      patience: ServerState.patience(within: .seconds(configuration.callTimeoutSeconds)))
  }

  /// A moment, before an inode is asked for.
  struct Mark: Sendable {
    /// Of `NodeTable`.
    let published: UInt64
    /// Of `FileService`.
    let changes: UInt64?
  }

  var mark: Mark { Mark(published: nodes.mark, changes: service.changes) }

  /// The attributes of an inode that was asked for at `mark`, with what its open file has.
  func attributes(_ inode: Inode, since mark: Mark) -> Attributes {
    guard let file = files[inode.id] else {
      var attributes = withAccess(Attributes(inode))
      // Reading moves times of access though nothing is changed yet.
      attributes.knownAt = movesAccessTimes ? nil : mark.changes
      return attributes
    }
    return withAccess(told(file.overlay(inode), of: file))
  }

  /// The same, as they were at one moment after `mark`: the inode may be from before a publish, and the
  /// open file from after it, or closed. The kernel drops an answer that a write of its own overtook;
  /// it cannot know of one that was older than a write when it was asked for.
  func settled(
    _ inode: Inode, since mark: Mark, _ caller: Caller
  ) async throws -> Attributes {
    let attributes = attributes(inode, since: mark)
    guard nodes.wasPublished(inode.id, since: mark.published) else { return attributes }
    return try await currentAttributes(of: inode.id, caller)
  }

  /// Attributes as the kernel may be told them: with the size of the version whose bytes are in its
  /// pages, as long as that is open.
  func told(_ attributes: Attributes, of file: OpenFile) -> Attributes {
    guard let paged = files.paged(file.id), paged !== file, !file.isDirty else { return attributes }
    var attributes = attributes
    attributes.size = paged.size
    attributes.isPassing = true
    return attributes
  }

  func entry(
    _ parent: InodeID, _ name: FileName, _ inode: Inode, since mark: Mark, _ caller: Caller
  ) async throws -> Entry {
    Entry(
      name: NodeName(parent: parent, name: name),
      attributes: try await settled(inode, since: mark, caller))
  }

  /// The entry of an inode that was just made, or that a change gave another name.
  func made(
    _ parent: InodeID, _ name: FileName, _ inode: Inode, since mark: Mark, _ caller: Caller
  ) async -> Entry {
    Entry(
      name: NodeName(parent: parent, name: name),
      attributes: (try? await settled(inode, since: mark, caller))
        ?? attributes(inode, since: mark))
  }

  // MARK: The kernel's counts; called by who delivers the answer

  /// Notes what the kernel will know when it has this answer.
  func willDeliver(_ reply: Reply) {
    switch reply {
    case .entry(let entry), .created(let entry, _):
      nodes.remember(entry.attributes.inode.id, as: entry.name)
    default: break
    }
  }

  /// The kernel did not take the answer: it was killed, or answered otherwise, before.
  func wasNotDelivered(_ reply: Reply, counted: Bool) {
    switch reply {
    case .entry(let entry) where counted: nodes.forget(entry.attributes.inode.id, 1)
    case .created(let entry, let opened):
      if counted { nodes.forget(entry.attributes.inode.id, 1) }
      closeUndelivered(opened)
    case .opened(let opened): closeUndelivered(opened)
    default: break
    }
  }

  private func closeUndelivered(_ opened: Opened) {
    handles.removeDirectory(opened.handle)
    closing.withLock { $0 += 1 }
    Task {
      await self.release(opened.handle) {}
      closing.withLock { $0 -= 1 }
    }
  }

  func forget(_ id: InodeID, _ count: UInt64) {
    if nodes.forget(id, count) { service.forget(id) }
  }
}
