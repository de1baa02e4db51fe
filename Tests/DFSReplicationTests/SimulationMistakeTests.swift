import DFSSimulation
import Testing

/// Rules that are broken on purpose: the checks must find it within so many seeds. What the simulation
/// has found in the code that shipped is among them.
@Suite struct SimulationMistakeTests {
  struct Case: CustomTestStringConvertible, Sendable {
    let mistake: Simulation.Mistake
    /// Shortly before the first seed that finds it; the tests need not go through all the others.
    let from: UInt64
    var testDescription: String { mistake.rawValue }
  }

  /// Seeds that are tried.
  private static let limit: UInt64 = 60

  private static let cases: [Case] = [
    Case(mistake: .readQuorumOfTwo, from: 0),
    Case(mistake: .readsIgnoreViews, from: 120),
    Case(mistake: .cacheIgnoresOvertakingPush, from: 900),
    Case(mistake: .promisesNotSynced, from: 0),
    Case(mistake: .appendsNotSynced, from: 0),
    Case(mistake: .promisesNotKept, from: 0),
    Case(mistake: .substituteRemovedTooEarly, from: 30),
    Case(mistake: .collectionIgnoresReaders, from: 0),
    Case(mistake: .collectionIgnoresCommitted, from: 0),
    Case(mistake: .copiesNotSyncedBeforeChange, from: 0),
    Case(mistake: .failedSyncAcknowledged, from: 0),
    Case(mistake: .fullDiskAcknowledged, from: 120),
    Case(mistake: .namespacesIgnored, from: 0),
    Case(mistake: .orphansIgnoreReaders, from: 0),
    Case(mistake: .smallCopiesNotCompleted, from: 0),
    Case(mistake: .placedWhateverTheRowSays, from: 0),
    Case(mistake: .unreadableCopiesStay, from: 0),
    Case(mistake: .lostCopiesNotCompleted, from: 120),
    Case(mistake: .retainedNotKept, from: 70),
    Case(mistake: .retainedIgnoredByViews, from: 0),
    Case(mistake: .retainedAgesWhileAway, from: 70),
    Case(mistake: .startForgetsUnsynced, from: 80),
    Case(mistake: .startTrustsCache, from: 0),
    Case(mistake: .settlingDropsNewerLayers, from: 15),
    Case(mistake: .settledWithoutCopies, from: 0),
    Case(mistake: .stackTakenFromMount, from: 0),
    Case(mistake: .cutForgotten, from: 0),
    Case(mistake: .onlyBasesHeld, from: 0),
    Case(mistake: .layerRowsStay, from: 0),
    Case(mistake: .keptLayersShareRows, from: 0),
    Case(mistake: .layersNotRebalanced, from: 0),
    Case(mistake: .smallLayersNotCompleted, from: 15),
    Case(mistake: .shownBeforeSeen, from: 0),
    Case(mistake: .queriesShowEarly, from: 0),
    Case(mistake: .restartWithoutGrace, from: 30),
    Case(mistake: .brokenConnectionEndsLease, from: 0),
    Case(mistake: .silentLeaseIsForgotten, from: 250),
    Case(mistake: .serverClocksRunAway, from: 0),
    Case(mistake: .joinedIsNotTold, from: 0),
    Case(mistake: .lockTrustedForLong, from: 30),
    Case(mistake: .recallAnsweredBeforeFlush, from: 0),
    Case(mistake: .waiterForgotten, from: 0),
  ]

  @Test(arguments: cases) func aBrokenRuleIsFound(_ one: Case) {
    let seeds = one.from..<one.from + Self.limit
    let found = seeds.first { Simulation.run(seed: $0, mistake: one.mistake).violation != nil }
    #expect(found != nil, "\(one.mistake) was not found with seeds \(seeds)")
  }
}
