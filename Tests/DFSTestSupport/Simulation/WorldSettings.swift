internal import DFSCore

/// What kind of world a seed makes: how bad its network is, who stops, who forgets.
struct WorldSettings {
  enum Forgetting: CaseIterable { case nobody, power, blank, backup, everyPower }

  /// Percent of messages.
  var loss: Int
  var doubling: Int
  /// The mean delay of a message in microseconds, and whether some take ten times that.
  let meanDelay = 1_000
  var hasSlowMessages: Bool
  /// Mean microseconds between faults of a kind; nil for never.
  var serverStops: Int?
  var clientStops: Int?
  var cuts: Int?
  var stillness: Int?
  var forgetting: Forgetting
  var clients: Int
  var operations: Int
  /// Entries that a server's log keeps, and that fit in one answer.
  var logLength: Int
  var logPage: Int
  /// Rows of a page of a refill.
  var refillPage: Int
  /// Percent of appends that are followed by a sync, where that is left to the server.
  var syncs: Int
  /// When the faults end.
  var quietAfter: Int
  /// Whether files have contents, and servers and clients take care of copies.
  var hasContents: Bool
  var policy: WritePolicy
  /// Mean microseconds between copies that go bad; nil for never.
  var damage: Int?
  /// What servers do from time to time, by its mean pause in microseconds.
  let flushPause = 6_000
  let collectionPause = 10_000
  let sweepPause = 80_000
  let scrubPause = 60_000
  /// How long copies are kept that nobody asks for any more, or that nobody asked for yet.
  let keepReplaced = 60_000
  let keepOrphans = 80_000
  let claimPeriod = 30_000
  /// An idle connection that copies were sent on is closed after this time.
  let uploadIdle = 100_000

  init(_ random: inout SplitMix64, mistake: Simulation.Mistake?) {
    loss = random.pick([0, 0, 5, 20])
    doubling = random.pick([0, 10, 30])
    hasSlowMessages = random.chance(60)
    serverStops = random.pick([nil, 30_000, 80_000])
    clientStops = random.pick([nil, nil, 60_000, 150_000])
    cuts = random.pick([nil, 20_000, 60_000])
    stillness = random.pick([nil, nil, 40_000])
    forgetting = random.pick(Forgetting.allCases)
    if mistake == .promisesNotSynced || mistake == .appendsNotSynced { forgetting = .everyPower }
    if mistake == .twoPings { forgetting = .power }
    clients = random.pick([2, 2, 3, 4])
    operations = random.pick([8, 16])
    logLength = random.pick([2, 5, 1_000])
    logPage = random.pick([1, 3, 1_000])
    refillPage = random.pick([1, 3, 100])
    syncs = random.pick([0, 10, 50])
    quietAfter = 400_000
    hasContents = mistake.map(\.isAboutContents) ?? random.chance(50)
    policy = random.pick([.all, .all, .quorum])
    damage = random.pick([nil, 20_000, 60_000])
    if mistake == .copiesNotSyncedBeforeChange { forgetting = .everyPower }
  }
}
