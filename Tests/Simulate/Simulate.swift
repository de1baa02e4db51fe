import DFSSimulation
import Glibc

/// dfs-simulate [--seeds N] [--from S] [--trace] [--mistake NAME]: runs seeds of the simulation of
/// the namespace protocol and of contents; status 1 if a rule was broken. `scripts/simulate` builds
/// and runs it.
@main
struct Simulate {
  private var seeds: UInt64 = 2_000
  private var first: UInt64 = 0
  private var wantsTrace = false
  private var mistake: Simulation.Mistake?
  private var counts = SimulationCounts()
  private var failures: [UInt64] = []

  static func main() {
    var simulate = Simulate(words: Array(CommandLine.arguments.dropFirst()))
    let took = ContinuousClock().measure { simulate.run() }
    simulate.report(
      seconds: Double(took.components.seconds) + Double(took.components.attoseconds) / 1e18)
    if !simulate.failures.isEmpty { exit(1) }
  }

  private init(words: [String]) {
    var words = words[...]
    while let option = words.popFirst() {
      switch option {
      case "--trace": wantsTrace = true
      case "--seeds": seeds = Self.number(words.popFirst(), of: option)
      case "--from": first = Self.number(words.popFirst(), of: option)
      case "--mistake":
        mistake = words.popFirst().flatMap { Simulation.Mistake(rawValue: $0) }
        if mistake == nil {
          let known = Simulation.Mistake.allCases.map(\.rawValue).joined(separator: ", ")
          Self.refuse("the mistakes are \(known)")
        }
      default: Self.refuse("unknown word '\(option)'")
      }
    }
  }

  private static func number(_ word: String?, of option: String) -> UInt64 {
    guard let value = word.flatMap({ UInt64($0) }) else { refuse("\(option) wants a number") }
    return value
  }

  private static func refuse(_ problem: String) -> Never {
    print("\(problem); usage: dfs-simulate [--seeds N] [--from S] [--trace] [--mistake NAME]")
    exit(64)
  }

  private mutating func run() {
    for seed in first..<first + seeds {
      let report = Simulation.run(seed: seed, mistake: mistake, keepsTrace: wantsTrace)
      counts += report.counts
      report.trace.forEach { print($0) }
      guard let violation = report.violation else { continue }
      failures.append(seed)
      print("seed \(seed): \(violation)")
    }
  }

  private func report(seconds: Double) {
    print(
      "\(seeds) seeds from \(first), \(Int(Double(seeds) / seconds)) a second: \(failures.count) "
        + "with a rule broken; \(counts.acknowledged) changes acknowledged, \(counts.unknown) of "
        + "unknown outcome, \(counts.failed) failed, \(counts.reads) reads, "
        + "\(counts.transfers) transfers, "
        + "\(counts.publishes) contents published, \(counts.substitutes) of them with a substitute, "
        + "\(counts.layers) layers published, \(counts.merges) merges and settlings, "
        + "\(counts.contentReads) read, \(counts.sections) times something was done under locks, \(counts.healed) copies healed, "
        + "\(counts.settled) contents rebalanced, \(counts.collected) copies removed, "
        + "\(counts.completed) small copies completed, \(counts.refused) requests refused by full "
        + "disks, \(counts.failedSyncs) servers stopped by a failed fsync, "
        + "\(counts.incomplete) contents incomplete at the end, "
        + "\(counts.leases) leases asked for, \(counts.leaseWaits) answers waited for their holders, "
        + "\(counts.messages) messages, \(counts.faults) faults")
    guard let seed = failures.first, !wantsTrace else { return }
    print("the end of seed \(seed) (all: scripts/simulate --seeds 1 --from \(seed) --trace):")
    let report = Simulation.run(seed: seed, mistake: mistake, keepsTrace: true)
    report.trace.suffix(60).forEach { print($0) }
  }
}
