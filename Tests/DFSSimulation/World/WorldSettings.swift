internal import DFSClient
internal import DFSCore
internal import DFSReplication
internal import DFSTestSupport

/// What kind of world a seed makes: how bad its network is, who stops, who forgets.
struct WorldSettings {
  /// With `everyPower` and `allPower` all servers lose power at once; with the former everything is
  /// synced before it is answered.
  enum Forgetting: CaseIterable { case nobody, power, blank, backup, everyPower, allPower }

  /// Percent of messages.
  var loss: Int
  /// The mean delay of a message in microseconds, and whether some take ten times that.
  let meanDelay = 1_000
  var hasSlowMessages: Bool
  /// Mean microseconds between faults of a kind; nil for never.
  var serverStops: Int?
  var clientStops: Int?
  var cuts: Int?
  var stillness: Int?
  /// Servers that are slow to everybody for a while, two at once.
  var slowness: Int?
  var fullDisks: Int?
  var failedSyncs: Int?
  /// Blocks that flip on any server, as long as each block of a part has a good copy.
  var flips: Int?
  /// Servers of another namespace in the place of one, by the mean pause between them; nil for never.
  var foreigners: Int?
  /// How long a server stays away that stops.
  var outage: Int
  var forgetting: Forgetting
  var clients: Int
  var operations: Int
  /// All clients change and read one row, one thing soon after the other.
  var isHot = false
  /// Clients that only read that row.
  var readers = 0
  /// Entries that a server's log keeps, and that fit in one answer.
  var logLength: Int
  var logPage: Int
  /// Rows of a page of a transfer.
  var refillPage: Int
  /// Percent of appends that are followed by a sync, where that is left to the server.
  var syncs: Int
  /// When the faults end.
  let quietAfter = 4_000_000
  /// Whether files have contents, and servers and clients take care of copies.
  var hasContents: Bool
  /// Whether contents are also written as layers, and what then is merged and settled.
  var hasLayers = false
  var layerPace = LayerPace()
  /// Whether clients ask for read leases, and servers show nothing before their holders have seen it.
  var hasLeases: Bool
  /// Clients that hear nothing for a moment, while servers may have closed their connections.
  var isolations: Int?
  /// Percent of them in which the servers close the connections, and whether the servers start again.
  var isolationsClose = 50
  var isolationsRestart = false
  /// Up to so many microseconds.
  var isolationsLast = 60_000
  /// How long a client waits before it connects again, at the longest.
  var reconnect = 300_000
  /// Whether programs lock files.
  var hasLocks = false
  var lockPace = LockPace()
  let leaseTerm = LeaseTerm(granted: .milliseconds(150), trusted: .milliseconds(50))
  var policy: WritePolicy
  /// Mean microseconds between copies that go bad; nil for never.
  var damage: Int?
  /// What servers do from time to time, by its mean pause in microseconds.
  let flushPause = 60_000
  let collectionPause = 100_000
  var sweepPause = 800_000
  let scrubPause = 600_000
  /// How long copies are kept that nobody asks for any more.
  let keepReplaced = 600_000
  /// How long those are kept that nobody asks for since all rows were replaced, or that nobody asked for yet: longer
  /// than a call may take, with what was sent before it.
  let keepTransferred = 6_000_000
  var keepOrphans = 6_000_000
  /// How long small copies are kept for others once their change is known to be committed.
  var keepRetained = 6_000_000
  /// Whether the world goes on until those are gone too.
  var outlivesRetained: Bool
  let claimPeriod = 300_000
  /// An idle connection that copies were sent on is closed after this time.
  var uploadIdle = 6_000_000

  init(_ random: inout SplitMix64, seed: UInt64, mistake: Simulation.Mistake?) {
    foreigners = seed.isMultiple(of: 3) ? 400_000 : nil
    loss = random.pick([0, 0, 5, 20])
    hasSlowMessages = random.chance(60)
    serverStops = random.pick([nil, 300_000, 800_000])
    clientStops = random.pick([nil, nil, 600_000, 1_500_000])
    cuts = random.pick([nil, 200_000, 600_000])
    stillness = random.pick([nil, nil, 400_000])
    slowness = random.pick([nil, nil, 400_000])
    fullDisks = random.pick([nil, nil, 600_000])
    failedSyncs = random.pick([nil, nil, 500_000])
    outage = random.pick([200_000, 200_000, 200_000, 2_500_000])
    forgetting = random.pick(Forgetting.allCases)
    clients = random.pick([2, 2, 3, 4])
    operations = random.pick([8, 16])
    logLength = random.pick([2, 5, 1_000])
    logPage = random.pick([1, 3, 1_000])
    refillPage = random.pick([1, 3, 100])
    syncs = random.pick([0, 10, 50])
    hasContents = mistake.map(\.isAboutContents) ?? random.chance(50)
    policy = random.pick([.all, .all, .quorum])
    damage = random.pick([nil, 200_000, 600_000])
    outlivesRetained = random.chance(10)
    flips = forgetting == .nobody && random.chance(50) ? 100_000 : nil
    // Other chance than the rest, so that worlds without leases are what they were.
    var lease = SplitMix64(seed: seed ^ 0x6c65_6173_6573)
    hasLeases = mistake?.isAboutLeases ?? lease.chance(50)
    isolations = hasLeases ? lease.pick([nil, 200_000]) : nil
    chooseLayers(seed, mistake)
    chooseLocks(seed, mistake)
    if let mistake {
      suit(mistake)
    } else if hasLeases, lease.chance(20) {
      suitLeases(closes: 30)
      rest = lease.pick([10_000, 200_000])
      isolationsRestart = lease.chance(30)
    }
    if flips != nil || forgetting == .allPower { damage = nil }
  }

  /// Up to so long is the pause between two operations of a client, and that after some of them; the mean
  /// pause between two looks for servers that lag.
  var pause: Int { isHot ? 2_000 : 8_000 }
  var rest = 400_000
  let healPause = 500_000

  /// Other chance than the rest, so that worlds without layers are what they were.
  private mutating func chooseLayers(_ seed: UInt64, _ mistake: Simulation.Mistake?) {
    var random = SplitMix64(seed: seed ^ 0x6c61_7965_7273)
    hasLayers = hasContents && (mistake.map(\.isAboutLayers) ?? random.chance(50))
    layerPace.fan = random.pick([2, 2, 3, 8])
    layerPace.shortestQuiet = random.pick([.milliseconds(300), .seconds(1), .seconds(10)])
  }

  /// Other chance than the rest, so that worlds without locks are what they were.
  private mutating func chooseLocks(_ seed: UInt64, _ mistake: Simulation.Mistake?) {
    var random = SplitMix64(seed: seed ^ 0x6c6f_636b_7300)
    hasLocks = mistake?.isAboutLocks ?? (!hasContents && random.chance(60))
    guard hasLocks else { return }
    (lockPace.trust, lockPace.patience) = (.milliseconds(100), .milliseconds(280))
    (lockPace.heartbeat, lockPace.firstQuestion) = (.milliseconds(20), .milliseconds(40))
    (lockPace.look, lockPace.idle) = (
      .milliseconds(40), .milliseconds(random.pick([100, 400, 4_000]))
    )
    isolations = random.pick([nil, 200_000, 600_000])
    isolationsLast = 1_000_000
    if mistake == .lockTrustedForLong {
      (lockPace.trust, isolations) = (.seconds(20), 200_000)
      // So that others have the locks while their owner is still in the middle of something.
      (lockPace.patience, lockPace.firstQuestion) = (.milliseconds(60), .milliseconds(10))
      lockPace.look = .milliseconds(10)
    }
    if mistake == .waiterForgotten { lockPace.idle = .seconds(100) }
    // Who knows of locks that all servers have forgotten?
    if forgetting == .allPower { forgetting = .nobody }
  }

  /// Two clients that read one row and two that change it, and hardly any fault but that readers hear nothing for about
  /// as long as they trust a lease.
  private mutating func suitLeases(closes: Int) {
    (isHot, operations, clients, readers) = (true, 60, 4, 2)
    (isolations, isolationsClose) = (80_000, closes)
    (rest, reconnect) = (10_000, 10_000)
    (serverStops, clientStops, cuts, stillness, slowness) = (nil, nil, nil, nil, nil)
    (fullDisks, failedSyncs, flips, foreigners, loss) = (nil, nil, nil, nil, 0)
    forgetting = .nobody
  }

  /// Worlds in which a mistake matters.
  private mutating func suit(_ mistake: Simulation.Mistake) {
    switch mistake {
    case .promisesNotSynced, .appendsNotSynced, .copiesNotSyncedBeforeChange:
      (forgetting, flips) = (.everyPower, nil)
    case .failedSyncAcknowledged, .startTrustsCache:
      (forgetting, flips, failedSyncs) = (.everyPower, nil, 150_000)
    case .startForgetsUnsynced:
      (forgetting, flips, serverStops, outage) = (.power, nil, 100_000, 20_000)
    case .authorIsNotTold: (isHot, operations, clients) = (true, 40, 3)
    case .shownBeforeSeen, .queriesShowEarly, .serverClocksRunAway:
      suitLeases(closes: 0)
    case .brokenConnectionEndsLease, .joinedIsNotTold: suitLeases(closes: 100)
    case .silentLeaseIsForgotten:
      suitLeases(closes: 0)
      rest = 200_000
    case .restartWithoutGrace:
      suitLeases(closes: 0)
      isolationsRestart = true
    case .lostCopiesNotCompleted: failedSyncs = 80_000
    case .broughtCopiesStayUnreferenced:
      (policy, serverStops, forgetting, flips) = (.quorum, 300_000, .blank, nil)
    case .orphansIgnoreReaders:
      // Shorter than a publish may take: copies go that nobody asked for yet.
      (sweepPause, keepOrphans, uploadIdle, operations) = (80_000, 100_000, 150_000, 30)
      (forgetting, flips, logLength, cuts) = (.nobody, nil, 2, 150_000)
      (serverStops, stillness, policy) = (nil, nil, .quorum)
    case .retainedAgesWhileAway:
      (serverStops, outage, loss, keepRetained) = (300_000, 2_500_000, 20, 1_500_000)
    case .fullDiskAcknowledged: fullDisks = 80_000
    case .namespacesIgnored: foreigners = 200_000
    case .stackTakenFromMount, .settlingDropsNewerLayers, .settledWithoutCopies:
      (layerPace.fan, layerPace.shortestQuiet) = (2, .milliseconds(300))
    case .onlyBasesHeld:
      (loss, hasSlowMessages, cuts, stillness, slowness) = (0, false, nil, nil, nil)
      (serverStops, forgetting, layerPace.fan) = (nil, .nobody, 2)
    case .layersNotRebalanced:
      (policy, serverStops, outage) = (.quorum, 300_000, 2_500_000)
      (layerPace.fan, layerPace.shortestQuiet) = (8, .seconds(10))
    default: break
    }
  }
}
