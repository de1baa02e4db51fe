import DFSCore
import DFSReplication
import Testing

/// Read leases, as servers grant them and clients hold them.
@Suite struct LeaseTests {
  private static let term = LeaseTerm(granted: .seconds(3), trusted: .seconds(1))
  private let start = ContinuousClock.now
  private var granted = GrantedLeases<ContinuousClock.Instant>(term)

  private func at(_ milliseconds: Int) -> ContinuousClock.Instant {
    start + .milliseconds(milliseconds)
  }

  private mutating func due(_ milliseconds: Int) -> GrantedLeases<ContinuousClock.Instant>.Due {
    granted.due(1, now: at(milliseconds))
  }

  @Test mutating func aChangeIsSeenWhenEveryHolderHasSeenIt() {
    granted.grant(1, to: ClientID(1), now: start)
    granted.grant(2, to: ClientID(2), now: start)
    let first = granted.announce(by: nil, now: start)
    #expect(first == 1)
    let second = granted.announce(by: 1, now: start)
    #expect(second == 2)
    #expect(granted.seen == 0)
    granted.saw(2, through: 2)
    // Its own change does not say that it has seen the one before.
    #expect(granted.seen == 0)
    granted.saw(1, through: 1)
    #expect(granted.seen == 2)
  }

  @Test mutating func aLeaseCountsFromItsGrantToItsEnd() {
    _ = granted.announce(by: nil, now: start)
    granted.grant(1, to: ClientID(1), now: start)
    #expect(granted.seen == 1)
    _ = granted.announce(by: nil, now: start)
    #expect(granted.seen == 1)
    granted.end(1)
    #expect(granted.seen == 2)
    #expect(granted.clients.isEmpty)
  }

  @Test mutating func aNewConnectionOfAClientEndsItsOldLease() {
    granted.grant(1, to: ClientID(1), now: start)
    _ = granted.announce(by: nil, now: start)
    granted.grant(2, to: ClientID(1), now: start)
    #expect(granted.seen == 1)
    #expect(!granted.holds(1))
  }

  @Test mutating func whoIsNotHeardLosesItsLease() {
    granted.grant(1, to: ClientID(1), now: start)
    granted.heard(1, now: at(500))
    let found1 = due(3499)
    #expect(found1 == .later(at(3500)))
    let found2 = due(3500)
    #expect(found2 == .ended)
    let found3 = due(3500)
    #expect(found3 == .nothing)
  }

  @Test mutating func whoOwesAnAnswerLosesItsConnection() {
    granted.grant(1, to: ClientID(1), now: start)
    _ = granted.announce(by: nil, now: at(100))
    granted.heard(1, now: at(3000))
    let found4 = due(3099)
    #expect(found4 == .later(at(3100)))
    let found5 = due(3100)
    #expect(found5 == .close)
    #expect(granted.seen == 0)
    let found6 = due(6000)
    #expect(found6 == .ended)
    #expect(granted.seen == 1)
  }

  @Test func threeAnsweredLeasesAreTrustedForASecond() {
    var held = HeldLeases<ContinuousClock.Instant>(Self.term)
    for index in 0..<3 {
      #expect(!held.areLive(at: start))
      let server = ServerIndex(index)
      _ = held.asks(server)
      held.answered(held.sends(to: server, at: start), isGrant: true)
    }
    #expect(held.areLive(at: at(1000)))
    #expect(!held.areLive(at: at(1001)))
    // Any answer goes on with it, from when its question was sent.
    for index in 0..<3 { held.answered(held.sends(to: ServerIndex(index), at: at(600))) }
    #expect(held.areLive(at: at(1600)))
    #expect(!held.areLive(at: at(1601)))
  }

  @Test func aLeaseIsOfOneConnection() {
    var held = HeldLeases<ContinuousClock.Instant>(Self.term)
    for server in ServerIndex.all.dropLast() {
      _ = held.asks(server)
      held.answered(held.sends(to: server, at: start), isGrant: true)
    }
    let late = held.sends(to: ServerIndex(0), at: start)
    held.reset(ServerIndex(0))
    #expect(!held.areLive(at: start))
    _ = held.asks(ServerIndex(0))
    held.answered(late, isGrant: true)
    #expect(!held.areLive(at: start))
    let found7 = held.giveUp().map(\.server)
    #expect(found7 == [ServerIndex(0), ServerIndex(1), ServerIndex(2)])
    let found8 = held.giveUp().isEmpty
    #expect(found8)
  }

  @Test func pushesAreAnsweredWhereALeaseWasAskedFor() {
    var held = HeldLeases<ContinuousClock.Instant>(Self.term)
    let found9 = held.pushed(by: ServerIndex(2))
    #expect(found9 == nil)
    let found10 = held.asks(ServerIndex(2))
    #expect(found10 == 1)
    let found11 = held.pushed(by: ServerIndex(2))
    #expect(found11 == 2)
    let found12 = held.pushed(by: ServerIndex(1))
    #expect(found12 == nil)
  }

  @Test func leasesThatDoNotPayAreGivenUp() {
    var worth = LeaseWorth<ContinuousClock.Instant>(Self.term)
    let found13 = worth.use(at: start)
    #expect(found13)
    let found14 = worth.isOver(at: at(1999))
    #expect(!found14)
    let found15 = worth.isOver(at: at(2000))
    #expect(found15)
    let found16 = worth.use(at: at(3000))
    #expect(found16)
    for _ in 0..<100 { worth.tell(at: at(3001)) }
    let found17 = worth.isOver(at: at(4001))
    #expect(found17)
    let found18 = worth.use(at: at(8000))
    #expect(!found18)
    let found19 = worth.use(at: at(9100))
    #expect(found19)
  }
}
