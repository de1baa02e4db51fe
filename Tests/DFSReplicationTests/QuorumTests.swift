import DFSCore
import DFSReplication
import Testing

@Suite struct QuorumTests {
  private static let views = (0...2).map { UInt64($0) }.map {
    $0 == 0 ? View.none : View(round: $0, client: ClientID(1))
  }

  /// Two histories: view 2 begins after change 1 of view 1, so that change 2 of each differs.
  private static let heads: [Head] =
    [.blank]
    + [1, 2].flatMap { view in
      (0...3).map { number in
        let digest = RowDigest(high: number > 1 ? UInt64(view) : 0, low: UInt64(number))
        return Head(view: views[view], number: UInt64(number), digest: digest)
      }
    }

  @Test func outcomes() {
    for yes in 0...4 {
      for no in 0...(4 - yes) {
        let outcome = Quorum.outcome(yes: yes, no: no)
        #expect((outcome == .won) == (yes >= 3))
        #expect((outcome == .lost) == (yes < 3 && no >= 2))
      }
    }
  }

  /// All answers of all servers: a change that three servers had, one of which has forgotten it, is
  /// never missing from what is taken for the truth.
  @Test func noCommittedChangeIsEverMissing() {
    let committed = Head(view: Self.views[2], number: 2, digest: RowDigest(high: 2, low: 2))
    let withIt = Self.heads.filter { $0.view == committed.view && $0.number >= 2 }
    let withoutIt = Self.heads.filter { $0.view < committed.view || $0.number < 2 }
    for missing in 0..<4 {
      for forgetful in 0..<4 where forgetful != missing {
        let choices = (0..<4).map { [missing, forgetful].contains($0) ? withoutIt : withIt }
        forEach(choices) { heads in expectNoOldTruth(heads, committed) }
      }
    }
  }

  private func expectNoOldTruth(_ all: [Head], _ committed: Head) {
    for absent in -1..<4 {
      var heads: [ServerIndex: Head] = [:]
      for index in 0..<4 where index != absent { heads[ServerIndex(index)] = all[index] }
      for source in heads.values {
        let hasIt = source.view == committed.view && source.number >= committed.number
        for silent in 0...(4 - heads.count) {
          let reading = Quorum.judge(source: source, heads: heads, silent: silent)
          #expect(reading != .truth || hasIt, "\(heads) read at \(source)")
        }
      }
    }
  }

  private func forEach(_ choices: [[Head]], _ action: ([Head]) -> Void) {
    for first in choices[0] {
      for second in choices[1] {
        for third in choices[2] {
          for fourth in choices[3] { action([first, second, third, fourth]) }
        }
      }
    }
  }

  private func judge(_ source: Head, _ heads: [Head?]) -> Quorum.Reading {
    var told: [ServerIndex: Head] = [:]
    for (index, head) in heads.enumerated() { told[ServerIndex(index)] = head }
    return Quorum.judge(source: source, heads: told, silent: 4 - told.count)
  }

  private func head(_ view: Int, _ number: Int) -> Head { Self.heads[1 + (view - 1) * 4 + number] }

  @Test func readings() {
    let head = head
    #expect(judge(head(1, 1), [head(1, 1), head(1, 1), head(1, 1), nil]) == .truth)
    #expect(judge(head(1, 1), [head(1, 1), head(1, 1), head(1, 1), head(1, 3)]) == .truth)
    #expect(judge(head(1, 1), [head(1, 1), head(1, 1), nil, nil]) == .pending)
    #expect(judge(head(1, 1), [head(1, 1), head(1, 1), head(1, 2), nil]) == .pending)
    #expect(judge(head(1, 1), [head(1, 1), head(1, 1), head(1, 2), head(1, 2)]) == .undecided)
    #expect(judge(head(1, 1), [head(1, 1), head(1, 1), head(2, 1), head(2, 1)]) == .undecided)
    #expect(judge(head(1, 1), [head(1, 1), head(1, 0), head(1, 2), head(1, 1)]) == .truth)
  }

  @Test func nothingIsTheTruthOnlyWhenAllFourSaySo() {
    let blank = Head.blank
    #expect(judge(blank, [blank, blank, blank, blank]) == .truth)
    #expect(judge(blank, [blank, blank, blank, nil]) == .pending)
    #expect(
      Quorum.judge(
        source: blank,
        heads: [ServerIndex(0): blank, ServerIndex(1): blank, ServerIndex(2): blank],
        silent: 0) == .undecided)
    #expect(judge(blank, [blank, blank, blank, head(1, 1)]) == .undecided)
    #expect(judge(head(1, 0), [head(1, 0), blank, head(1, 0), blank]) == .truth)
  }

  @Test func headsToldAtSeveralTimesCount() {
    let source = head(1, 1)
    let heads: [ServerIndex: [Head]] = [
      ServerIndex(0): [source, head(1, 2)], ServerIndex(1): [head(1, 0), head(1, 2)],
      ServerIndex(2): [head(1, 1)],
    ]
    #expect(Quorum.judge(source: source, heads: heads, silent: 1) == .truth)
  }

  @Test func cachedRowsWantThreePings() {
    #expect(!Quorum.isCurrent(confirmedBy: 2))
    #expect(Quorum.isCurrent(confirmedBy: 3))
  }
}
