internal import DFSCore
internal import DFSReplication

/// One attempt to read: the rows of one server, and the heads that all told since.
final class SimulatedReading {
  let keys: [RowKey]
  /// When the question was asked, as far as the cache goes.
  let stamp: SimulatedCache.Stamp?
  var source: (rows: [RowKey: Row], head: Head)?
  var heads: [ServerIndex: [Head]] = [:]
  private let mistake: Simulation.Mistake?

  init(_ keys: [RowKey], stamp: SimulatedCache.Stamp?, mistake: Simulation.Mistake?) {
    self.keys = keys
    self.stamp = stamp
    self.mistake = mistake
  }

  func judge() -> Quorum.Reading {
    guard let source else { return .pending }
    let silent = Limits.serverCount - heads.count
    switch mistake {
    case .readQuorumOfTwo: return judgeByTwo(source.head)
    case .readsIgnoreViews:
      let blind = heads.mapValues { told in
        told.map { Head(view: source.head.view, number: $0.number, digest: source.head.digest) }
      }
      return Quorum.judge(source: source.head, heads: blind, silent: silent)
    default: return Quorum.judge(source: source.head, heads: heads, silent: silent)
    }
  }

  private func judgeByTwo(_ source: Head) -> Quorum.Reading {
    if heads.values.count(where: { $0.contains(source) }) >= 2 { return .truth }
    return heads.count < Limits.serverCount ? .pending : .undecided
  }
}
