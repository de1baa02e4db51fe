/// A simulation of a whole cluster: clients that are the code that ships, down to their connections, and what
/// ships of servers (`Replica`, `RequiredReplicas`, `CopyRelease`), over a network, disks and a clock that are made
/// up from one seed.
///
/// A client is a `DFSClient` with all that it consists of: the namespace with its queue of changes, the driver of the
/// `Coordinator`, reads by quorum, the cache of rows, transfers of state, contents, pins and the healer
/// (`ShippedClient`). Its tasks run on the thread of the world, one job after the other, and take time and chance
/// from it (`TaskQueue`, `SimulatedEnvironment`), so that a seed runs the same way each time (as in FoundationDB:
/// Zhou et al., "FoundationDB: A Distributed Unbundled Transactional Key Value Store", 2021, section 4).
///
/// Half of the worlds have names and attributes only, with more changes; the others contents too, of one block a
/// part or of two. Their bytes are real, and each part is kept once for all servers (`WorldContents`). In half of
/// those, files are also written in place: each change is a layer, and layers are merged and settled.
///
/// # The fault model
///
/// - **Network.** A connection delivers in order. What is lost is sent again later, or ends the
///   connection, as a server's end does: both sides learn that by and by, and requests under way may still be
///   performed. A link between a client and a server may be cut in one direction or both, for a while. A server
///   that is silent for long is given up.
/// - **Servers** stop and start at any time, and stand still for a while with all messages waiting
///   (SIGSTOP). What a stopped server had written stays, synced or not; what it had in memory
///   (sessions, holds, claims, whose uploads no row asks for yet) does not.
/// - **Clients** stop at any point and start again with a new identity, without any memory. Servers
///   learn it from their connections, soon.
/// - **One server forgets or damages.** In a world at most one server at a time does. Its power fails,
///   and it comes back without a part of the transactions that were not synced, without the copies
///   that were not synced or with holes in them, and with some of those that it had removed; or its
///   disk is replaced by a blank one; or restored from an old backup, rows and copies; or a copy, or
///   one of its two blocks, is flipped, or cannot be read any more, or for a while. A second server may
///   do so only after all have become equal in between, with every copy in its place.
/// - **Blocks flip** on any server in worlds where nobody forgets, as long as another copy of the part
///   has that block.
/// - **All lose power** at the same moment, in worlds where everything is synced before it is answered
///   (`dfs --sync always`), and what was answered must survive; and in worlds where only that is which
///   asked for it, and must survive.
/// - **Disks are full** for a while, one at a time: what is to be stored is refused, reads go on.
/// - **A foreign server** stands where one of the four is meant, one at a time: for one client (a wrong
///   address), or for all (the directory of another cluster, or of an account that was made anew under an
///   old name), with rows of its own under the same keys, fewer or more changes, and another identity of
///   its namespace. It comes and goes while everything else goes on.
/// - **An fsync fails** on any server: of rows, and the server answers nothing more until it is started
///   again; or of a copy, which is quarantined.
/// - Promises and installed views are synced before they are answered, always; copies before the
///   changes that name them.
/// - **State transfers** are paged and may be interrupted by any of the above.
/// - Logs are short in some worlds, so that servers are caught up by logs and by transfers.
///
/// Not modelled: damage of tables, and of small copies that are kept for other servers; parts that are sent in
/// several pieces.
///
/// # What clients and servers do with contents
///
/// Clients publish large contents (the copies are put on their holders, then a change names them)
/// and small ones (all copies travel in the change, to every server, which keeps those of others for a
/// time after it has learned that the change is committed), under `writes = all` or `quorum`, and keep what others
/// published meanwhile beside the file, or not; open files and read them to the end with pauses, remove and rename
/// them, and heal, all of them at once. A content is cells, each of which says who wrote it. Clients open a file and
/// write some cells of it as a layer, truncate it, let it grow, with a large hole or without, and write more over what
/// they have published, while the same file is merged, settled and replaced. Servers keep what they want and what is unreferenced, collect, sweep,
/// scrub and flush.
///
/// # What is checked
///
/// Afterwards all changes are replayed in the order that the servers agree on (`OperationHistory`; operations may
/// end by being cancelled, too):
/// acknowledged changes are there, once, under the number that was acknowledged; dropped ones are
/// not; every change found its preconditions (no lost update, no name created twice, no copies placed
/// of a version that was replaced); every read, whether asked of servers or from a cache kept valid
/// by pushes, shows the rows of a moment between its beginning and its end, so that nothing goes back
/// and nothing forks. At every step: equal heads have equal digests. A foreign server has what it had.
///
/// Of contents (`WorldCopies`): no read returns bytes of another part or version; a publish is
/// acknowledged only with two good copies of each part, but for those of a server that was away,
/// forgot, or lost a message of this client since the publish began; when a server forgets, no
/// part that once had two copies loses its last one; no copy is removed that three servers ask its
/// server for; no copy is removed that a reader holds, as long as the connection lives.
///
/// Of versions (`OperationHistory+Layers`, `WorldVersions`): each is the cells of who published it over those of the
/// version that it was opened with, from the first row that names it to the last, whatever it is made of by then, and
/// as it was read; what others published meanwhile is kept beside, if that was asked for; each layer has its row, and
/// each such row a file that lists it; the list of what is not settled is right after each change.
///
/// And once the faults stop, within `Simulation.patience` every client gets on, all servers become
/// equal, every part has its two copies where the rule puts them, good, and nothing is missing, waits
/// to be removed or is left over; then all files are settled, and that is so again. Excepted are versions of which nobody has all of the parts: a part
/// that had one copy only, on the server that forgot it, or that all lost with their power before it
/// was on stable storage (docs/RELIABILITY.md, "Limits").
public struct Simulation {
  /// A rule that is broken on purpose, to show that the checks would find it.
  public enum Mistake: String, CaseIterable, Sendable {
    /// A read is content with two servers.
    case readQuorumOfTwo
    /// A read looks at the numbers of the heads only, not at whose views and rows they are.
    case readsIgnoreViews
    /// A row is cached though a push that overtook the answer said that it changed.
    case cacheIgnoresOvertakingPush
    /// A server does not push a change to the client that made it, which may have given it up.
    case authorIsNotTold
    /// A view that is installed a second time undoes what was appended since.
    case installTwice
    /// Promises and views are answered before they are synced; all servers lose power.
    case promisesNotSynced
    /// Appends are answered before they are synced; all servers lose power.
    case appendsNotSynced
    /// A server accepts an append in a view that it promised to leave.
    case promisesNotKept
    /// A healer lets substitute copies go before those that they substituted for are where the rule puts them.
    case substituteRemovedTooEarly
    /// Copies are removed though readers hold their version.
    case collectionIgnoresReaders
    /// Copies are removed before the change that let go of them is known to be committed.
    case collectionIgnoresCommitted
    /// A change is synced before the copies that it names are, and so are the copies' own answers.
    case copiesNotSyncedBeforeChange
    /// An fsync that failed is answered as if it had not.
    case failedSyncAcknowledged
    /// A full disk says that it stored a copy.
    case fullDiskAcknowledged
    /// Views name no namespace, so that nobody notices a server of another one.
    case namespacesIgnored

    // What the simulation has found in the code that shipped, once each.

    /// A change that was taken up from a log is acknowledged without the copies that travelled with
    /// it.
    case smallCopiesNotCompleted
    /// A copy that a healer brings stays on the list of those that are removed.
    case broughtCopiesStayUnreferenced
    /// A copy that no row ever asked for is removed though a reader holds its version.
    case orphansIgnoreReaders
    /// Where copies are is noted though somebody else noted other places meanwhile.
    case placedWhateverTheRowSays
    /// A copy that cannot be read cannot be replaced either.
    case unreadableCopiesStay
    /// A change that two servers refused for lack of copies was taken up from the others, and is
    /// acknowledged without a copy.
    case lostCopiesNotCompleted
    /// Small copies are not kept for other servers.
    case retainedNotKept
    /// Who makes a view change does not bring servers the small copies that they lack.
    case retainedIgnoredByViews
    /// Small copies for others are kept for a time that goes on while their server is away.
    case retainedAgesWhileAway
    /// A server that starts again does not bring to stable storage what the last process left.
    case startForgetsUnsynced
    /// A server that starts again goes on with a log that an fsync has failed on.
    case startTrustsCache

    // Of layers.

    /// What is settled takes the place of the layers too that were published meanwhile.
    case settlingDropsNewerLayers
    /// What is settled is named though its copies are not on the servers.
    case settledWithoutCopies
    /// A layer is laid over what the file was made of when it was opened, whatever that was merged to.
    case stackTakenFromMount
    /// That a file was shorter meanwhile is forgotten.
    case cutForgotten
    /// Of what is read servers are told to hold the base only.
    case onlyBasesHeld
    /// The rows of layers stay when the file has these no more.
    case layerRowsStay
    /// What is kept beside a file shares the rows of its layers, which go with that.
    case keptLayersShareRows
    /// The copies of layers that substitute for others are not rebalanced.
    case layersNotRebalanced
    /// A layer that was taken up from a log stays without the copies that travelled with it.
    case smallLayersNotCompleted

    // Of read leases.

    /// A change is answered before those who hold leases have seen it.
    case shownBeforeSeen
    /// Reads and pings show what holders of leases have not seen.
    case queriesShowEarly
    /// A server that starts again does not wait for the leases of the process before it.
    case restartWithoutGrace
    /// The end of a connection ends its lease.
    case brokenConnectionEndsLease
    /// A lease whose holder was silent for long ends though its connection goes on.
    case silentLeaseIsForgotten
    /// The clocks of servers run ten times as fast as some clients'.
    case serverClocksRunAway
    /// Who connects is not told of the changes that are announced and not shown yet.
    case joinedIsNotTold

    // Of locks.

    /// A client relies on its locks for long after servers answered last.
    case lockTrustedForLong
    /// A client lets another one have a lock before what was written under it is stored.
    case recallAnsweredBeforeFlush
    /// Who waits for a lock is not noted.
    case waiterForgotten

    var isAboutLocks: Bool {
      switch self {
      case .lockTrustedForLong, .recallAnsweredBeforeFlush, .waiterForgotten: true
      default: false
      }
    }

    var isAboutLeases: Bool {
      switch self {
      case .shownBeforeSeen, .queriesShowEarly, .restartWithoutGrace, .brokenConnectionEndsLease,
        .silentLeaseIsForgotten, .serverClocksRunAway, .joinedIsNotTold:
        true
      default: false
      }
    }

    /// Also that is about contents.
    var isAboutLayers: Bool {
      switch self {
      case .settlingDropsNewerLayers, .settledWithoutCopies, .stackTakenFromMount, .cutForgotten,
        .onlyBasesHeld, .layerRowsStay, .keptLayersShareRows, .layersNotRebalanced,
        .smallLayersNotCompleted:
        true
      default: false
      }
    }

    var isAboutContents: Bool {
      if isAboutLayers { return true }
      return switch self {
      case .substituteRemovedTooEarly, .collectionIgnoresReaders, .collectionIgnoresCommitted,
        .copiesNotSyncedBeforeChange, .smallCopiesNotCompleted, .broughtCopiesStayUnreferenced,
        .orphansIgnoreReaders, .unreadableCopiesStay, .placedWhateverTheRowSays, .retainedNotKept,
        .lostCopiesNotCompleted,
        .retainedIgnoredByViews, .retainedAgesWhileAway, .startForgetsUnsynced,
        .fullDiskAcknowledged:
        true
      default: false
      }
    }
  }

  /// So much virtual time after the last fault everything must have come right: 20,000 mean message
  /// delays.
  static let patience = 20_000_000

  /// Runs the world of `seed` to its end.
  public static func run(
    seed: UInt64, mistake: Mistake? = nil, keepsTrace: Bool = false
  ) -> SimulationReport {
    let world = World(seed: seed, mistake: mistake, keepsTrace: keepsTrace)
    return world.run()
  }
}

/// What came of one seed.
public struct SimulationReport: Sendable {
  public let seed: UInt64
  /// The first rule that was seen broken; nil if none was.
  public let violation: String?
  public let counts: SimulationCounts
  /// What happened, line by line, if it was asked for.
  public let trace: [String]
  /// Equal for equal runs.
  public let fingerprint: UInt64
}

public struct SimulationCounts: Hashable, Sendable {
  public var acknowledged = 0
  public var unknown = 0
  public var failed = 0
  public var reads = 0
  public var transfers = 0
  public var publishes = 0
  /// Publishes that were acknowledged with another server standing in for one that was away.
  public var substitutes = 0
  /// Publishes of layers.
  public var layers = 0
  /// Changes that put one content in the place of several, without changing any byte.
  public var merges = 0
  public var contentReads = 0
  /// What was done under locks, to its end.
  public var sections = 0
  /// Copies that healers brought, and rows whose copies they rebalanced.
  public var healed = 0
  public var settled = 0
  public var collected = 0
  /// Requests that a full disk refused, and servers that stopped for a failed fsync.
  public var refused = 0
  /// Read leases that were asked for, and answers that waited for their holders.
  public var leases = 0
  public var leaseWaits = 0
  public var failedSyncs = 0
  /// Small contents that were made whole from what one server kept for others.
  public var completed = 0
  /// Contents at the end of which nobody has all, as the fault model or the protocol allows.
  public var incomplete = 0
  public var messages = 0
  public var faults = 0

  public init() {}

  public static func += (left: inout Self, right: Self) {
    left.acknowledged += right.acknowledged
    left.unknown += right.unknown
    left.failed += right.failed
    left.reads += right.reads
    left.transfers += right.transfers
    left.publishes += right.publishes
    left.substitutes += right.substitutes
    left.layers += right.layers
    left.merges += right.merges
    left.contentReads += right.contentReads
    left.sections += right.sections
    left.healed += right.healed
    left.settled += right.settled
    left.collected += right.collected
    left.refused += right.refused
    left.leases += right.leases
    left.leaseWaits += right.leaseWaits
    left.failedSyncs += right.failedSyncs
    left.completed += right.completed
    left.incomplete += right.incomplete
    left.messages += right.messages
    left.faults += right.faults
  }
}
