import DFSCore
import Testing

@testable import DFSClient

@Suite struct FetchPlanTests {
  private let id = PartID(version: VersionID(high: 0, low: 1), part: PartIndex(1))
  private let first = ServerIndex(1)
  private let second = ServerIndex(0)
  private let lost = DFSError(.disconnected, "lost")
  private let damaged = DFSError(.damaged, "damaged")

  private func plan(_ candidates: [ServerIndex], absent: [ServerIndex] = []) -> FetchPlan {
    FetchPlan(id: id, candidates: candidates, absent: absent.map { ($0, lost) })
  }

  private func code(_ step: FetchPlan.Step) -> DFSError.Code? {
    if case .fail(let error) = step { error.code } else { nil }
  }

  @Test func asksTheOtherReplicaWhenTheFirstFails() {
    var plan = plan([first, second])
    #expect(plan.begin() == .ask(first))
    #expect(plan.failed(first, damaged) == .ask(second))
    #expect(code(plan.failed(second, damaged)) == .damaged)
  }

  @Test func asksTheOtherReplicaWhenTheFirstTakesLongAndWaitsForBoth() {
    var plan = plan([first, second])
    _ = plan.begin()
    #expect(plan.overdue() == .ask(second))
    #expect(plan.overdue() == .wait)
    #expect(plan.failed(second, lost) == .wait)
    #expect(code(plan.failed(first, lost)) == .incomplete)
  }

  @Test func aSingleCopyIsWaitedFor() {
    var plan = plan([first], absent: [second])
    _ = plan.begin()
    #expect(plan.overdue() == .wait)
    #expect(code(plan.failed(first, damaged)) == .incomplete)
  }

  @Test func nobodyReachableIsIncompleteAtOnceAndSaysWho() {
    var plan = plan([], absent: [second, first])
    guard case .fail(let error) = plan.begin() else { return #expect(Bool(false)) }
    #expect(error.code == .incomplete)
    #expect(error.message.contains("part 2"))
  }

  @Test func oneDamagedAndOneLostMayComeBack() {
    var plan = plan([first, second])
    _ = plan.begin()
    _ = plan.failed(first, damaged)
    #expect(code(plan.failed(second, lost)) == .incomplete)
  }

  @Test func allTooSlowIsATimeout() {
    var plan = plan([first, second])
    _ = plan.begin()
    _ = plan.overdue()
    _ = plan.failed(first, DFSError(.timedOut, "slow"))
    #expect(code(plan.failed(second, DFSError(.timedOut, "slow"))) == .timedOut)
  }

  @Test(arguments: 0..<4)
  func everyServerIsPreferredForOnePart(x: Int) throws {
    var bytes = [UInt8](repeating: 0, count: 16)
    bytes[15] = UInt8(x)
    let placement = Placement(md5: try #require(MD5Digest(bytes: bytes)))
    let preferred = PartIndex.all.compactMap { placement.holders(of: $0).preferred }
    #expect(Set(preferred) == Set(ServerIndex.all))
    #expect(ServerSet([ServerIndex(2)]).preferred == ServerIndex(2))
    #expect(ServerSet().preferred == nil)
  }
}
