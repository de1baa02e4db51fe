import DFSSimulation
import Testing

/// Some seeds of the simulation; `scripts/test` runs two thousand with the release build.
@Suite struct SimulationTests {
  @Test(arguments: 0..<3) func seedsKeepAllRules(_ part: UInt64) {
    for seed in part * 40..<(part + 1) * 40 {
      let report = Simulation.run(seed: seed)
      #expect(
        report.violation == nil, "seed \(seed): scripts/simulate --seeds 1 --from \(seed) --trace")
    }
  }

  @Test func theSameSeedRunsTheSameWay() {
    for seed in UInt64(0)..<8 {
      let one = Simulation.run(seed: seed, keepsTrace: true)
      let other = Simulation.run(seed: seed, keepsTrace: true)
      #expect(one.fingerprint == other.fingerprint)
      #expect(one.trace == other.trace)
      #expect(one.counts == other.counts)
    }
  }

  @Test func theWorldsAreEventful() {
    var counts = SimulationCounts()
    for seed in UInt64(0)..<140 { counts += Simulation.run(seed: seed).counts }
    #expect(counts.acknowledged > 500)
    #expect(counts.reads > 500)
    #expect(counts.unknown > 12)
    #expect(counts.transfers > 12)
    #expect(counts.faults > 1_000)
    #expect(counts.publishes > 80)
    #expect(counts.layers > 200)
    #expect(counts.merges > 60)
    #expect(counts.substitutes > 10)
    #expect(counts.contentReads > 30)
    #expect(counts.healed > 50)
    #expect(counts.settled > 2)
    #expect(counts.collected > 400)
    #expect(counts.completed > 5)
    #expect(counts.refused > 20)
    #expect(counts.failedSyncs > 10)
  }
}
