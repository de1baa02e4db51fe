import DFSTestSupport
import Testing

/// Seeds of the simulation; `scripts/simulate` runs more of them, faster.
@Suite struct SimulationTests {
  @Test(arguments: 0..<6) func seedsKeepAllRules(_ part: UInt64) {
    for seed in part * 40..<(part + 1) * 40 {
      let report = Simulation.run(seed: seed)
      #expect(report.violation == nil, "seed \(seed): scripts/simulate --seeds 1 --from \(seed)")
    }
  }

  @Test func theSameSeedRunsTheSameWay() {
    for seed in UInt64(0)..<5 {
      let one = Simulation.run(seed: seed, keepsTrace: true)
      let other = Simulation.run(seed: seed, keepsTrace: true)
      #expect(one.fingerprint == other.fingerprint)
      #expect(one.trace == other.trace)
      #expect(one.counts == other.counts)
    }
  }

  @Test func theWorldsAreEventful() {
    var counts = SimulationCounts()
    for seed in UInt64(0)..<40 { counts += Simulation.run(seed: seed).counts }
    #expect(counts.acknowledged > 200)
    #expect(counts.reads > 200)
    #expect(counts.cachedReads > 40)
    #expect(counts.unknown > 5)
    #expect(counts.refills > 5)
    #expect(counts.faults > 400)
  }
}
