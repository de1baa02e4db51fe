import DFSTestSupport
import Testing

/// The judge of histories, on histories written by hand: it accepts what can be true and finds what
/// cannot.
@Suite struct LinearizabilityTests {
  private static func verdict(_ events: [NameEvent], names: Int = 1) -> Linearizability.Verdict {
    Linearizability(events, names: names).verdict
  }

  private static func event(
    _ step: NameStep, _ answer: NameAnswer, _ begin: UInt64, _ end: UInt64
  ) -> NameEvent {
    NameEvent(step, answer, from: begin, to: end, by: "client")
  }

  private static func isViolated(_ events: [NameEvent], names: Int = 1) -> Bool {
    if case .violated = verdict(events, names: names) { true } else { false }
  }

  // MARK: What can be true

  @Test func oneAfterTheOther() {
    #expect(
      Self.verdict([
        Self.event(.read(name: 0), .absent, 0, 1),
        Self.event(.store(name: 0, content: 1), .done, 2, 3),
        Self.event(.read(name: 0), .content(1), 4, 5),
        Self.event(.remove(name: 0), .done, 6, 7),
        Self.event(.remove(name: 0), .absent, 8, 9),
        Self.event(.create(name: 0, file: 5), .done, 10, 11),
        Self.event(.read(name: 0), .content(0), 12, 13),
        Self.event(.create(name: 0, file: 6), .exists, 14, 15),
      ]) == .linearizable)
  }

  /// Two reads beside a put may see it or not, but only in that order.
  @Test func readsBesideAPut() {
    let put = Self.event(.store(name: 0, content: 1), .done, 0, 100)
    let before = Self.event(.read(name: 0), .absent, 10, 20)
    let after = Self.event(.read(name: 0), .content(1), 30, 40)
    #expect(Self.verdict([put, before, after]) == .linearizable)
    let early = Self.event(.read(name: 0), .content(1), 10, 20)
    let late = Self.event(.read(name: 0), .absent, 30, 40)
    #expect(Self.isViolated([put, early, late]))
  }

  @Test func whatIsUnknownHappensLateOrNever() {
    let put = Self.event(.store(name: 0, content: 1), .unknown, 0, 1)
    #expect(Self.verdict([put, Self.event(.read(name: 0), .absent, 50, 60)]) == .linearizable)
    let appears = [
      put, Self.event(.read(name: 0), .absent, 50, 60),
      Self.event(.read(name: 0), .content(1), 70, 80),
    ]
    #expect(Self.verdict(appears) == .linearizable)
    #expect(Self.isViolated(appears + [Self.event(.read(name: 0), .absent, 90, 95)]))
  }

  @Test func unknownStepsExplainOnlyOnce() {
    let events = [
      Self.event(.store(name: 0, content: 1), .unknown, 0, 1),
      Self.event(.store(name: 0, content: 2), .done, 2, 3),
      Self.event(.read(name: 0), .content(1), 4, 5),
    ]
    #expect(Self.verdict(events) == .linearizable)
    #expect(
      Self.isViolated(
        events + [
          Self.event(.store(name: 0, content: 3), .done, 6, 7),
          Self.event(.read(name: 0), .content(1), 8, 9),
        ]))
  }

  @Test func aFileThatWasRemovedMayStillBeWritten() {
    let events = [
      Self.event(.create(name: 0, file: 1), .done, 0, 1),
      Self.event(.remove(name: 0), .done, 2, 3),
      Self.event(.create(name: 0, file: 2), .done, 4, 5),
      Self.event(.storeInto(name: 0, file: 1, content: 10), .done, 6, 7),
    ]
    #expect(
      Self.verdict(events + [Self.event(.read(name: 0), .content(0), 8, 9)]) == .linearizable)
    #expect(Self.isViolated(events + [Self.event(.read(name: 0), .content(10), 8, 9)]))
  }

  // MARK: What cannot

  @Test func twoExclusiveCreates() {
    #expect(
      Self.isViolated([
        Self.event(.create(name: 0, file: 1), .done, 0, 10),
        Self.event(.create(name: 0, file: 2), .done, 5, 15),
      ]))
  }

  @Test func aRefusalWithoutAReason() {
    #expect(
      Self.isViolated([
        Self.event(.remove(name: 0), .absent, 0, 1),
        Self.event(.create(name: 0, file: 1), .exists, 2, 3),
      ]))
  }

  @Test func anAcknowledgedContentIsLost() {
    let events = [
      Self.event(.store(name: 0, content: 1), .done, 0, 1),
      Self.event(.store(name: 0, content: 2), .done, 2, 3),
      Self.event(.read(name: 0), .content(1), 4, 5),
    ]
    #expect(Self.isViolated(events))
    #expect(Self.isViolated(Array(events.prefix(2)) + [Self.event(.read(name: 0), .absent, 4, 5)]))
  }

  @Test func aContentThatNobodyStored() {
    #expect(
      Self.isViolated([
        Self.event(.store(name: 0, content: 1), .done, 0, 1),
        Self.event(.read(name: 0), .content(7), 0, 5),
      ]))
  }

  @Test func aRenameShowsBothNamesOrNone() {
    let events = [
      Self.event(.store(name: 0, content: 1), .done, 0, 1),
      Self.event(.move(from: 0, to: 1), .done, 10, 20),
    ]
    let before = Self.event(.list, .listed([.present, .absent]), 11, 12)
    let after = Self.event(.list, .listed([.absent, .content(1)]), 13, 14)
    #expect(Self.verdict(events + [before, after], names: 2) == .linearizable)
    for torn in [[NameListing.present, .present], [.absent, .absent]] {
      #expect(Self.isViolated(events + [Self.event(.list, .listed(torn), 11, 12)], names: 2))
    }
    #expect(
      Self.isViolated(events + [Self.event(.move(from: 0, to: 1), .done, 30, 31)], names: 2))
  }

  @Test func theReplacedContentDoesNotComeBack() {
    #expect(
      Self.isViolated(
        [
          Self.event(.store(name: 0, content: 1), .done, 0, 1),
          Self.event(.store(name: 1, content: 2), .done, 2, 3),
          Self.event(.move(from: 0, to: 1), .done, 4, 5),
          Self.event(.read(name: 1), .content(2), 6, 7),
        ], names: 2))
  }

  // MARK: Size

  /// A long history with many clients at once, made from one sequence, is accepted; the same with
  /// one answer exchanged is not.
  @Test(arguments: 0..<20) func longHistories(seed: UInt64) {
    var random = SplitMix64(seed: seed)
    var events: [NameEvent] = []
    var content = 0
    for number in 1...200 {
      let moment = UInt64(number) * 100
      let (begin, end) = (
        moment - min(moment, UInt64(random.below(300))), moment + UInt64(random.below(300))
      )
      if random.chance(40) {
        content = number
        let isUnknown = random.chance(10)
        events.append(
          Self.event(.store(name: 0, content: number), isUnknown ? .unknown : .done, begin, end))
      } else {
        events.append(
          Self.event(.read(name: 0), content == 0 ? .absent : .content(content), begin, end))
      }
    }
    #expect(Self.verdict(events) == .linearizable)
    events.append(Self.event(.read(name: 0), .absent, 30_000, 30_001))
    #expect(Self.isViolated(events))
  }
}
