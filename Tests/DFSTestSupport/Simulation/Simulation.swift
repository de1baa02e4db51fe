/// A simulation of the namespace protocol: the code that ships (`Replica`, `Coordinator`, `Quorum`)
/// over a network, disks and a clock that are made up from one seed.
///
/// # The fault model
///
/// - **Network.** Any message may be lost, doubled, delayed and overtaken by later ones. A link
///   between a client and a server may be cut in one direction or both, for a while. A message to a
///   server that is down is answered by silence or by a refusal.
/// - **Servers** stop and start at any time, and stand still for a while with all messages waiting
///   (SIGSTOP). What a stopped server had written stays, synced or not.
/// - **Clients** stop at any point and start again with a new identity, without any memory.
/// - **One server forgets.** In a world at most one server at a time does: its power fails and it
///   comes back without a part of the appends that were not synced; or its disk is replaced by a
///   blank one; or restored from an old backup. A second server may forget only after all have
///   become equal in between.
/// - **All lose power** at the same moment, in worlds where every append is synced before it is
///   answered; what was answered must survive.
/// - Promises and installed views are synced before they are answered, always.
/// - **Refills** are paged and may be interrupted by any of the above.
/// - Logs are short in some worlds, so that servers are brought along by logs and by refills.
///
/// Not modelled yet: parts of versions, disks that damage what they hold or fill up.
///
/// # What is checked
///
/// Afterwards all changes are replayed in the order that the servers agree on (`History`):
/// acknowledged changes are there, once, under the number that was acknowledged; dropped ones are
/// not; every change found its preconditions (no lost update, no name created twice); every read,
/// whether asked of servers or from a cache kept valid by pushes, shows the rows of a moment between
/// its beginning and its end, so that nothing goes back and nothing forks. At every step: equal
/// heads have equal digests. And once the faults stop, every client gets on and all servers become
/// equal within `Simulation.patience`.
public struct Simulation {
  /// A rule that is broken on purpose, to show that the checks would find it.
  public enum Mistake: String, CaseIterable, Sendable {
    /// A read is content with two servers.
    case readQuorumOfTwo
    /// A read looks at the numbers of the heads only, not at whose views and rows they are.
    case readsIgnoreViews
    /// A cached row is taken for current after two pings.
    case twoPings
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
    /// Changes do not write their identity into the rows.
    case changesWithoutIdentity
    /// A server accepts an append in a view that it promised to leave.
    case promisesNotKept
  }

  /// So much virtual time after the last fault everything must have come right: 2,000 mean message
  /// delays.
  static let patience = 2_000_000

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
  public var cachedReads = 0
  public var views = 0
  public var refills = 0
  public var messages = 0
  public var faults = 0

  public init() {}

  public static func += (left: inout Self, right: Self) {
    left.acknowledged += right.acknowledged
    left.unknown += right.unknown
    left.failed += right.failed
    left.reads += right.reads
    left.cachedReads += right.cachedReads
    left.views += right.views
    left.refills += right.refills
    left.messages += right.messages
    left.faults += right.faults
  }
}
