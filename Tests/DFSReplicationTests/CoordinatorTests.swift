import DFSCore
import DFSReplication
import Testing

/// The client's side against four servers that answer at once.
@Suite struct CoordinatorTests {
  @Test func takesTheFirstViewOfBlankServersAndAppends() {
    var bench = Bench()
    bench.takeView()
    #expect(bench.coordinator.phase == .leading)
    bench.append()
    guard case .committed(let head, let accepted)? = bench.told.last else {
      Issue.record("not committed: \(bench.told)")
      return
    }
    #expect(head.number == 1)
    #expect(accepted.count >= 3)
    #expect(ServerIndex.all.allSatisfy { bench.head($0.value) == head })
    #expect(bench.coordinator.lagging == [])
  }

  @Test(arguments: 1...4) func threeServersAreEnough(missing: Int) {
    var bench = Bench()
    bench.takeView()
    bench.append()
    bench.silent = .of(missing)
    bench.takeView(reachable: .all.subtracting(bench.silent))
    bench.append([.note("a", 2)])
    #expect(bench.coordinator.head.number == 2)
    #expect(bench.coordinator.lagging == .of(missing))
  }

  @Test func twoServersAreNotEnough() {
    var bench = Bench()
    bench.takeView()
    bench.takeView(reachable: .of(1, 2))
    #expect(bench.told.last == .stuck(.silent(.of(3, 4))))
    #expect(bench.coordinator.phase == .idle)
  }

  @Test func losingTwoServersInTheMiddleOfAChangeIsToldAndItsOutcomeIsFound() {
    var bench = Bench()
    bench.takeView()
    bench.silent = .of(2, 3, 4)
    bench.append()
    let tokens = bench.sent.compactMap { action -> UInt64? in
      if case .send(let server, .apply, let token) = action, bench.silent.contains(server) {
        token
      } else {
        nil
      }
    }
    for token in tokens { bench.perform(bench.coordinator.undelivered(token: token)) }
    #expect(bench.told.last == .stuck(.silent(.of(2, 3))))
    bench.silent = .of(2)
    bench.takeView(reachable: .of(1, 3, 4))
    guard case .viewTaken(let head, open: .committed)? = bench.told.last else {
      Issue.record("the change on DFS1 was not taken up: \(bench.told)")
      return
    }
    #expect(head.number == 1)
  }

  @Test func aChangeOnNobodyIsDropped() {
    var bench = Bench()
    bench.takeView()
    bench.silent = .all
    bench.append()
    bench.coordinator.abandon()
    bench.silent = []
    bench.takeView()
    #expect(bench.told.last == .viewTaken(bench.coordinator.head, open: .dropped))
    #expect(bench.coordinator.head.number == 0)
  }

  @Test func twoClientsWithTheSameChangeAreNotBothToldThatTheirsIsIt() {
    var one = Bench(client: 1)
    one.takeView()
    // The first one's change reaches only DFS1 …
    one.silent = .of(2, 3, 4)
    one.append()
    one.coordinator.abandon()
    // … and the other's, with the same writes, the other three.
    var other = one.other(2)
    other.coordinator.saw(one.coordinator.view)
    other.takeView(reachable: .of(2, 3, 4))
    other.append()
    #expect(other.coordinator.head.number == 1)
    one.disks = other.disks
    one.silent = []
    one.coordinator.saw(other.coordinator.view)
    one.takeView()
    guard case .viewTaken(_, open: .dropped)? = one.told.last else {
      Issue.record("both were told: \(one.told)")
      return
    }
  }

  @Test func aSupersededClientLearnsIt() {
    var one = Bench(client: 1)
    one.takeView()
    var other = one.other(2)
    other.coordinator.saw(one.coordinator.view)
    other.takeView()
    one.disks = other.disks
    one.append()
    #expect(one.told.last == .superseded)
    #expect(one.coordinator.phase == .idle)
    one.takeView()
    #expect(one.told.last == .viewTaken(one.coordinator.head, open: .dropped))
  }

  @Test func aLaterViewThatIsHeardOfEndsTheOwn() {
    var bench = Bench()
    bench.takeView()
    bench.coordinator.saw(View(round: 9, client: ClientID(5)))
    #expect(bench.coordinator.phase == .idle)
    bench.takeView()
    #expect(bench.coordinator.view.round == 10)
  }

  @Test func forgettingAChangeGivesItsViewUp() {
    var bench = Bench()
    bench.takeView()
    bench.silent = .of(3, 4)
    bench.append()
    bench.coordinator.forget()
    // Its number is taken on two servers: nothing else may be appended under it in this view.
    #expect(bench.coordinator.phase == .idle)
    #expect(!bench.coordinator.hasOpenChange)
  }

  @Test func aServerWithoutThePartsIsLeftOutAndTwoAreTooMany() {
    var bench = Bench()
    bench.takeView()
    bench.lacking = .of(2)
    bench.append()
    #expect(bench.coordinator.head.number == 1)
    bench.lacking = .of(2, 3)
    bench.append([.note("a", 2)])
    #expect(bench.told.last == .stuck(.missingParts(.of(2, 3))))
  }

  @Test func anAnswerThatComesTwiceCountsOnce() {
    var bench = Bench()
    bench.takeView()
    bench.silent = .of(3, 4)
    bench.append()
    let head = bench.head(0)
    for token in UInt64(1)...40 {
      bench.perform(bench.coordinator.receive(.applied(head), token: token == 1 ? 1 : 1))
    }
    #expect(bench.coordinator.head.number == 0)
  }
}
