public import DFSCore

/// Quorum is arithmetic, not networking (after etcd raft's `quorum/majority.go`).
public enum Quorum {
  /// Whether a vote has its quorum, may get it yet, or cannot any more.
  public enum Outcome: Hashable, Sendable { case won, pending, lost }

  /// The vote of servers for something that needs `Limits.quorum` of them.
  public static func outcome(yes: Int, no: Int, of voters: Int = Limits.serverCount) -> Outcome {
    if yes >= Limits.quorum { return .won }
    return voters - no < Limits.quorum ? .lost : .pending
  }

  /// What answers to one read say.
  public enum Reading: Hashable, Sendable {
    /// Committed, and nothing committed before the read began is missing from it.
    case truth
    /// Not yet known; more answers may decide it.
    case pending
    /// The answers disagree: ask again, or make a view change, which finishes or drops what is half done.
    case undecided
  }

  /// Judges rows that a server at head `source` returned, by the heads that servers told since the
  /// read began (the source's own among them; a server may have told several); `silent` more
  /// servers may still answer.
  ///
  /// Let the source be at (view v, number n). The rows are committed when three servers in view v
  /// had number ≥ n: within one view a log only grows, so all three have every change up to n.
  /// They are fresh when three servers in view v had number ≤ n: a change committed before the
  /// read began was on three of four servers, and at most one of those may have forgotten it (lost
  /// power, a blank or restored disk), so it is missing from at most two; and a later view would
  /// have been installed on one of the three. Two are not enough: the server that forgot and the
  /// one that never had the change would agree.
  public static func judge(
    source: Head, heads: [ServerIndex: [Head]], silent: Int
  ) -> Reading {
    let told = heads.values.filter { !$0.isEmpty }
    let nothingYet = told.allSatisfy { $0.allSatisfy { $0.number == 0 } }
    // All four answer that they have nothing, and only one may have forgotten: nothing was ever
    // written.
    if told.count == Limits.serverCount, nothingYet { return .truth }
    let sameView =
      source.view == .none ? [] : told.map { $0.filter { $0.view == source.view } }
    let agree = sameView.joined().allSatisfy {
      $0.number != source.number || $0.digest == source.digest
    }
    let atLeast = sameView.count { $0.contains { $0.number >= source.number } }
    let atMost = sameView.count { $0.contains { $0.number <= source.number } }
    if agree, atLeast >= Limits.quorum, atMost >= Limits.quorum { return .truth }
    if silent > 0, source.number == 0, nothingYet { return .pending }
    return agree && atLeast + silent >= Limits.quorum && atMost + silent >= Limits.quorum
      && silent > 0 ? .pending : .undecided
  }

  /// As above, with one head of each server.
  public static func judge(source: Head, heads: [ServerIndex: Head], silent: Int) -> Reading {
    judge(source: source, heads: heads.mapValues { [$0] }, silent: silent)
  }

  /// Whether a cached row is current: one that was the truth when it was fetched and that no push
  /// named since that question was asked (a push may overtake the answer that fills the cache).
  /// `pings` servers have answered since the call began, each on a connection unbroken since the
  /// row was asked for, and with all its pushes delivered before its answer. A change committed in
  /// between was accepted by three servers, of which at most one has lost power since; so of any
  /// three servers one has it still, and has pushed it. Two pings are not enough.
  public static func isCurrent(confirmedBy pings: Int) -> Bool { pings >= Limits.quorum }
}
