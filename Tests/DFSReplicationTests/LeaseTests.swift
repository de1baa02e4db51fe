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

  private mutating func look(_ milliseconds: Int) -> ContinuousClock.Instant? {
    granted.look(1, now: at(milliseconds))
  }

  @Test mutating func aChangeIsSeenWhenEveryHolderHasSeenIt() {
    granted.grant(1, to: ClientID(1), now: start)
    granted.grant(2, to: ClientID(2), now: start)
    let first = granted.announce(by: nil)
    #expect(first == 1)
    let second = granted.announce(by: 1)
    #expect(second == 2)
    #expect(granted.seen == 0)
    granted.saw(2, through: 2)
    // Its own change does not say that it has seen the one before.
    #expect(granted.seen == 0)
    granted.saw(1, through: 1)
    #expect(granted.seen == 2)
  }

  @Test mutating func aLeaseCountsFromItsGrantToItsEnd() {
    _ = granted.announce(by: nil)
    granted.grant(1, to: ClientID(1), now: start)
    #expect(granted.seen == 1)
    _ = granted.announce(by: nil)
    #expect(granted.seen == 1)
    granted.end(1)
    #expect(granted.seen == 2)
    #expect(granted.clients.isEmpty)
  }

  @Test mutating func aNewConnectionOfAClientEndsItsOldLease() {
    granted.grant(1, to: ClientID(1), now: start)
    _ = granted.announce(by: nil)
    granted.grant(2, to: ClientID(1), now: start)
    #expect(granted.seen == 1)
    #expect(!granted.holds(1))
  }

  @Test mutating func aHolderIsWaitedForUntilNoAnswerFromBeforeThePushCanBeTrusted() {
    granted.grant(1, to: ClientID(1), now: start)
    granted.heard(1, now: at(500))
    _ = granted.announce(by: nil)
    granted.heard(1, now: at(700))
    granted.told(1, through: 1)
    // What is answered from now on is read after the push.
    granted.heard(1, now: at(3000))
    let first = look(3699)
    #expect(first == at(3700))
    #expect(granted.seen == 0)
    let second = look(3700)
    #expect(second == nil)
    #expect(granted.seen == 1)
    // The lease goes on.
    _ = granted.announce(by: nil)
    #expect(granted.seen == 1)
    #expect(granted.holds(1))
  }

  @Test mutating func whatWasNotWrittenIsWaitedForFromTheLastMessage() {
    granted.grant(1, to: ClientID(1), now: start)
    _ = granted.announce(by: nil)
    granted.heard(1, now: at(1000))
    let first = look(3999)
    #expect(first == at(4000))
    _ = granted.announce(by: nil)
    granted.told(1, through: 1)
    granted.heard(1, now: at(2000))
    let second = look(4000)
    #expect(second == at(5000))
    #expect(granted.seen == 1)
  }

  @Test mutating func aSilentHolderKeepsItsLeaseAsLongAsItsConnection() {
    granted.grant(1, to: ClientID(1), now: start)
    let idle = look(9000)
    #expect(idle == nil)
    #expect(granted.holds(1))
    granted.heard(1, now: at(9000))
    granted.disconnected(1)
    let left = look(9000)
    #expect(left == at(12000))
    _ = granted.announce(by: nil)
    #expect(granted.seen == 0)
    let over = look(12000)
    #expect(over == nil)
    #expect(granted.seen == 1 && !granted.holds(1))
  }

  /// Asks a server, which grants.
  private func lease(_ server: Int, _ held: inout HeldLeases<ContinuousClock.Instant>) throws {
    let sentAsked = held.asks(ServerIndex(server), at: start)
    let sent = try #require(sentAsked)
    held.answered(sent)
    held.ended(sent, isGranted: true)
  }

  @Test func threeAnsweredLeasesAreTrustedForASecond() throws {
    var held = HeldLeases<ContinuousClock.Instant>(Self.term)
    for index in 0..<3 {
      #expect(!held.areLive(at: start))
      try lease(index, &held)
    }
    #expect(held.areLive(at: at(1000)))
    #expect(!held.areLive(at: at(1001)))
    // Any answer goes on with it, from when its question was sent.
    for index in 0..<3 { held.answered(held.sends(to: ServerIndex(index), at: at(600))) }
    #expect(held.areLive(at: at(1600)))
    #expect(!held.areLive(at: at(1601)))
  }

  @Test func aLeaseIsOfOneConnection() throws {
    var held = HeldLeases<ContinuousClock.Instant>(Self.term)
    for server in 0..<3 { try lease(server, &held) }
    let lateAsked = held.asks(ServerIndex(0), at: start)
    let late = try #require(lateAsked)
    held.reset(ServerIndex(0))
    #expect(!held.areLive(at: start))
    let nextAsked = held.asks(ServerIndex(0), at: start)
    let next = try #require(nextAsked)
    held.answered(late)
    held.ended(late, isGranted: true)
    #expect(!held.areLive(at: start))
    held.ended(next, isGranted: false)
    let given = held.giveUp(at: start).map(\.server)
    #expect(given == [ServerIndex(0), ServerIndex(1), ServerIndex(2)])
    let left = held.giveUp(at: start).isEmpty
    #expect(left)
  }

  /// A question that is sent before a giving up and arrives after it would be granted by the server alone; one that is
  /// sent after it and arrives before would be trusted by the client alone.
  @Test func leasesAreNotAskedForWhileTheyAreGivenUp() throws {
    var held = HeldLeases<ContinuousClock.Instant>(Self.term)
    for server in 0..<3 { try lease(server, &held) }
    let openAsked = held.asks(ServerIndex(1), at: start)
    let open = try #require(openAsked)
    #expect(!held.mayGiveUp)
    held.ended(open, isGranted: true)
    #expect(held.mayGiveUp)
    let given = held.giveUp(at: start)
    #expect(!held.areLive(at: start))
    let early = held.asks(ServerIndex(0), at: start)
    #expect(early == nil)
    for (_, sent) in given { held.gaveUp(sent) }
    try lease(0, &held)
    // That of an older connection says nothing.
    held.reset(ServerIndex(0))
    try lease(0, &held)
    held.gaveUp(given[0].sent)
    let again = held.asks(ServerIndex(0), at: start)
    #expect(again != nil)
  }

  @Test func pushesAreAnsweredWhereALeaseWasAskedFor() {
    var held = HeldLeases<ContinuousClock.Instant>(Self.term)
    let unasked = held.pushed(by: ServerIndex(2))
    #expect(unasked == nil)
    _ = held.asks(ServerIndex(2), at: start)
    let asked = held.pushed(by: ServerIndex(2))
    #expect(asked == 2)
    let other = held.pushed(by: ServerIndex(1))
    #expect(other == nil)
  }

  @Test func leasesThatDoNotPayAreGivenUp() {
    var worth = LeaseWorth<ContinuousClock.Instant>(Self.term)
    let found13 = worth.use(at: start)
    #expect(found13)
    let found14 = worth.isOver(at: at(3999))
    #expect(!found14)
    let found15 = worth.isOver(at: at(4000))
    #expect(found15)
    let found16 = worth.use(at: at(5000))
    #expect(found16)
    for _ in 0..<100 { worth.tell(at: at(5001)) }
    let found17 = worth.isOver(at: at(7001))
    #expect(found17)
    let found18 = worth.use(at: at(16000))
    #expect(!found18)
    let found19 = worth.use(at: at(17100))
    #expect(found19)
  }
}
