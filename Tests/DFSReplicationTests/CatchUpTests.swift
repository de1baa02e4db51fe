import DFSCore
import DFSReplication
import Testing

@testable import DFSSimulation

/// How servers that lack something, or have something else, are caught up.
@Suite struct CatchUpTests {
  private func appended(_ count: UInt8, without: ServerSet = []) -> Bench {
    var bench = Bench()
    bench.takeView()
    bench.append()
    bench.silent = without
    bench.takeView(reachable: .all.subtracting(without))
    for value in 0..<count { bench.append([.note("b", value)]) }
    bench.silent = []
    return bench
  }

  private func expectEqual(_ bench: Bench) {
    #expect(ServerIndex.all.allSatisfy { bench.head($0.value) == bench.coordinator.head })
    #expect(
      ServerIndex.all.allSatisfy {
        bench.disks[$0.value].current.rows == bench.disks[0].current.rows
      })
    #expect(bench.coordinator.lagging == [])
  }

  @Test func aServerThatWasDownGetsTheChangesWithTheInstall() {
    var bench = appended(5, without: .of(4))
    bench.retry()
    expectEqual(bench)
    #expect(bench.transfers == 0)
  }

  @Test func aLogOfTwoPagesIsReadInTwo() {
    var bench = appended(5, without: .of(4))
    bench.logPage = 3
    bench.retry()
    expectEqual(bench)
    #expect(bench.transfers == 0)
  }

  @Test func aLogOfTooManyPagesIsNotWorthIt() {
    var bench = appended(20, without: .of(4))
    bench.logPage = 3
    bench.retry()
    expectEqual(bench)
    #expect(bench.transfers == 1)
  }

  @Test func aBlankServerIsRefilledWhereLogsAreShort() {
    var bench = Bench()
    bench.disks = Array(repeating: SimulatedDisk(logLength: 2), count: 4)
    bench.takeView()
    for value in UInt8(0)..<6 { bench.append([.note("c", value)]) }
    bench.disks[2] = SimulatedDisk(logLength: 2)
    bench.takeView()
    bench.retry()
    expectEqual(bench)
    #expect(bench.transfers == 1)
  }

  @Test func aServerThatDivergedIsRefilled() {
    var bench = appended(2)
    // DFS1 alone takes a change of a view that is then lost.
    bench.silent = .of(2, 3, 4)
    bench.append([.note("d", 1)])
    bench.coordinator.forget()
    bench.silent = .of(1)
    bench.takeView(reachable: .of(2, 3, 4))
    #expect(bench.coordinator.head.number == 3)
    bench.silent = []
    bench.retry()
    expectEqual(bench)
    #expect(bench.transfers == 1)
  }

  @Test func aServerThatForgotAnAppendGetsItAgain() {
    var bench = appended(2)
    var disk = SimulatedDisk(logLength: 1_000)
    disk.promise(bench.coordinator.view, syncs: true)
    _ = disk.install(
      bench.coordinator.view, Array(bench.disks[3].current.archive.prefix(1)),
      to: Head(
        view: bench.coordinator.view, number: 1, digest: bench.disks[3].current.log[0].digest),
      syncs: true)
    bench.disks[3] = disk
    bench.append([.note("e", 1)])
    expectEqual(bench)
  }

  @Test func aServerWhoseAnswerToTheInstallWasLostIsAskedForItsHead() {
    var bench = Bench()
    bench.takeView()
    bench.append()
    // The connection breaks while a change is under way, and the server comes back in the view.
    bench.silent = .of(4)
    bench.append([.note("f", 1)])
    let token = bench.sent.compactMap { action -> UInt64? in
      if case .send(ServerIndex(3), .apply, let token) = action { token } else { nil }
    }.last
    bench.perform(bench.coordinator.undelivered(token: token ?? 0))
    bench.silent = []
    #expect(bench.coordinator.lagging == .of(4))
    bench.retry()
    expectEqual(bench)
  }

  @Test func aServerThatForgotItsPromiseIsAskedAgain() {
    var bench = appended(1)
    bench.disks[1] = SimulatedDisk(logLength: 1_000)
    bench.append([.note("g", 1)])
    expectEqual(bench)
  }

  @Test func aServerThatPromisedSomebodyElseWantsANewView() {
    var bench = appended(1)
    bench.disks[1].promise(View(round: 40, client: ClientID(7)), syncs: true)
    #expect(!bench.coordinator.needsNewView)
    bench.append([.note("h", 1)])
    #expect(bench.coordinator.phase == .leading)
    #expect(bench.coordinator.needsNewView)
    bench.takeView()
    expectEqual(bench)
    #expect(!bench.coordinator.needsNewView)
  }

  @Test func ofTwoBlankServersOneNewTheOtherReplacedBothAreFilled() {
    // The first view goes to three servers only; then one of them loses its disk.
    var bench = appended(2, without: .of(4))
    bench.disks[3] = SimulatedDisk(logLength: 1_000)
    bench.disks[0] = SimulatedDisk(logLength: 1_000)
    bench.takeView(reachable: .of(1, 2, 4))
    #expect(bench.told.last == nil || bench.coordinator.phase != .leading)
    bench.takeView()
    bench.retry()
    expectEqual(bench)
    #expect(bench.coordinator.head.number == 3)
  }

  @Test func threeBlankServersAreNotTakenForTheTruth() {
    var bench = appended(2)
    for index in 1...3 { bench.disks[index] = SimulatedDisk(logLength: 1_000) }
    bench.takeView()
    #expect(bench.told.last == .stuck(.blank(.of(2, 3, 4))))
  }

  @Test func ofEqualHeadsWithDifferentRowsTheOneOfMostServersIsRight() {
    var bench = appended(2)
    let head = bench.head(0)
    let damaged = Head(view: head.view, number: head.number, digest: RowDigest(high: 1, low: 1))
    _ = bench.disks[0].transfer(
      View(round: 1, client: ClientID(1)), rows: [], to: .blank, archive: [])
    bench.takeView()
    bench.retry()
    #expect(bench.coordinator.head.digest == head.digest)
    #expect(damaged.digest != head.digest)
    expectEqual(bench)
  }
}
