import DFSCore
import DFSReplication
import Testing

@testable import DFSSimulation

/// What one server alone says, against three that are honest.
@Suite struct HostileServerTests {
  private let absurd: [UInt64] = [1 << 25, 1 << 53, .max - 1, .max]

  private func head(_ round: UInt64, _ number: UInt64) -> Head {
    Head(view: View(round: round, client: ClientID(66)), number: number, digest: .empty)
  }

  /// Four servers with a change, of which one lies to a new client. (The first is heard before the truth is
  /// decided, the last after that.)
  private func bench(
    liar: Int = 3, _ lie: @escaping (NamespaceReply) -> NamespaceReply
  ) -> Bench {
    var bench = Bench()
    bench.takeView()
    bench.append()
    var other = bench.other(2)
    other.coordinator.saw(bench.coordinator.view)
    other.lies[ServerIndex(liar)] = lie
    return other
  }

  private func expectWork(_ bench: inout Bench, _ comment: Comment) {
    for number in 2...4 as ClosedRange<UInt64> {
      bench.takeView()
      guard bench.coordinator.phase == .leading else {
        Issue.record("no view was taken: \(bench.told.suffix(2)), \(comment)")
        return
      }
      bench.append()
      #expect(bench.coordinator.head.number == number, comment)
      #expect(!bench.coordinator.needsNewView, comment)
    }
    let honest = (0..<4).filter { bench.lies[ServerIndex($0)] == nil }
    let promised = honest.map { bench.disks[$0].current.replica.promised.round }
    #expect(promised.allSatisfy { $0 < 100 }, comment)
  }

  /// It was carried to the others, until no greater one was left.
  @Test func anAbsurdRoundIsNotCarriedOn() {
    for (round, liar) in absurd.flatMap({ round in (0..<4).map { (round, $0) } }) {
      var refusing = bench(liar: liar) { _ in .refused(View(round: round, client: ClientID(66))) }
      expectWork(&refusing, "DFS\(liar + 1) refused in round \(round)")
      var promising = bench(liar: liar) { reply in
        if case .promised = reply { .promised(self.head(round, 1)) } else { reply }
      }
      expectWork(&promising, "DFS\(liar + 1) promised with a head of round \(round)")
    }
  }

  @Test func anAbsurdNumberOfChangesIsNotTheTruth() {
    for (number, liar) in absurd.flatMap({ number in (0..<4).map { (number, $0) } }) {
      var lying = bench(liar: liar) { reply in
        if case .promised(let head) = reply {
          .promised(self.head(head.view.round, number))
        } else {
          reply
        }
      }
      expectWork(&lying, "DFS\(liar + 1) told number \(number)")
    }
  }

  /// It was asked again and again, for ever.
  @Test func aServerThatAlwaysGoesBackIsLeftOut() {
    let early = View(round: 0, client: ClientID(66))
    var refusing = bench { _ in .refused(early) }
    expectWork(&refusing, "refuses every promise")
    var forgetting = bench { reply in
      switch reply {
      case .installed, .applied: .refused(early)
      default: reply
      }
    }
    expectWork(&forgetting, "forgets every promise")
    var lagging = bench { reply in
      switch reply {
      case .installed, .applied: .behind(.blank)
      default: reply
      }
    }
    expectWork(&lagging, "is never where it was brought")
  }

  /// Many views were taken while nobody else looked.
  @Test func whatTwoServersTellCounts() {
    var bench = Bench()
    bench.takeView()
    bench.coordinator.saw(View(round: 1 << 40, client: ClientID(5)))
    bench.takeView()
    bench.append()
    #expect(bench.coordinator.view.round == (1 << 40) + 1)
    var other = bench.other(2)
    other.takeView()
    #expect(other.told.last == .superseded)
    other.takeView()
    #expect(other.coordinator.phase == .leading)
    #expect(other.coordinator.view.round == (1 << 40) + 2)
  }

  /// Without enough others it is said why.
  @Test func twoAbsurdServersAreTold() {
    var bench = bench { _ in .refused(View(round: 1 << 40, client: ClientID(66))) }
    bench.silent = .of(3)
    bench.takeView()
    for case .send(ServerIndex(2), _, let token) in bench.sent {
      bench.perform(bench.coordinator.undelivered(token: token))
    }
    #expect(bench.told.last == .stuck(.absurd(.of(4))))
  }

  @Test func aTruthOfOneServerMayBeRefused() {
    var bench = Bench()
    bench.takeView()
    bench.append()
    // One server alone has another change.
    bench.silent = .of(1, 2, 3)
    bench.append([.note("b", 1)])
    var other = bench.other(2)
    other.coordinator.saw(bench.coordinator.view)
    let actions = other.coordinator.takeView(reachable: .of(2, 3, 4))
    var queue = actions[...]
    while other.coordinator.loneWitness == nil, let action = queue.popFirst() {
      guard case .send(let server, let request, let token) = action else { continue }
      queue += other.coordinator.receive(other.answer(request, by: server), token: token)
    }
    #expect(other.coordinator.loneWitness == ServerIndex(3))
    #expect(other.coordinator.refuseTruth() == [.stuck(.loss(ServerIndex(3)))])
    #expect(other.coordinator.phase == .idle)
    // Once three have it, it is the truth.
    other.takeView(reachable: .of(2, 3, 4))
    #expect(other.coordinator.phase == .leading && other.coordinator.head.number == 2)
    #expect(other.coordinator.loneWitness == nil)
  }
}
