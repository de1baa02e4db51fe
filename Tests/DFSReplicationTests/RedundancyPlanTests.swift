import DFSCore
import DFSReplication
import DFSTestSupport
import Testing

/// Who substitutes for a lost server, and what is left to do after a publish.
@Suite struct RedundancyPlanTests {
  /// x = 0: part 1 on DFS1 and DFS4, part 2 on DFS2 and DFS1, part 3 on DFS3 and DFS2, part 4 on DFS4
  /// and DFS3.
  private let home: Placement = {
    guard let md5 = MD5Digest(bytes: Array(repeating: 0, count: 16)) else {
      preconditionFailure("16 bytes are a digest")
    }
    return Placement(md5: md5)
  }()

  @Test func theServerOppositeStandsInForOneThatIsLost() throws {
    let substitute = try #require(Substitute(for: .of(2), in: home))
    #expect(substitute.lost == ServerIndex(1))
    #expect(substitute.placement.parts(on: ServerIndex(1)).isEmpty)
    #expect(substitute.copies.map(\.server) == [ServerIndex(3), ServerIndex(3)])
    #expect(substitute.copies.map(\.part) == home.parts(on: ServerIndex(1)))
    for part in PartIndex.all { #expect(substitute.placement.holders(of: part).count == 2) }
  }

  @Test func nobodyStandsInForNoneOrTwoOrForOneThatHoldsNothing() throws {
    #expect(Substitute(for: [], in: home) == nil)
    #expect(Substitute(for: .of(1, 2), in: home) == nil)
    let without = try #require(Substitute(for: .of(3), in: home)).placement
    #expect(Substitute(for: .of(3), in: without) == nil)
    #expect(without.absent == .of(3))
    // One more is lost besides: what it held is all that can be moved.
    #expect(Substitute(for: .of(3, 4), in: without)?.lost == ServerIndex(3))
  }

  @Test func oneServerMayBeLostWhileCopiesAreStored() {
    var losses = StoreLosses(absent: [])
    #expect(losses.lost == nil)
    let noted = [2, 2, 0].map { losses.note(ServerIndex($0)) }
    #expect(noted == [true, true, false])
    var one = StoreLosses(absent: [])
    let isBorne = one.note(ServerIndex(2))
    #expect(isBorne && one.lost == ServerIndex(2))
    var late = StoreLosses(absent: .of(1))
    let isBorneToo = late.note(ServerIndex(2))
    #expect(!isBorneToo)
  }

  @Test func nothingIsLeftToDoWhereAllTookTheChange() {
    let plan = RedundancyPlan(home, stored: .all, reachable: .all)
    #expect(plan.copies.isEmpty)
    #expect(plan.substitute == nil)
  }

  /// Found by the simulation: a change that one server had taken when its view was lost was taken up
  /// by the next view, and was acknowledged though nobody else had the copies that travelled with it.
  @Test func copiesThatDidNotTravelAreStored() {
    let plan = RedundancyPlan(home, stored: .of(3), reachable: .of(1, 3, 4))
    #expect(Set(plan.copies.map(\.server)) == [ServerIndex(0), ServerIndex(3)])
    #expect(plan.copies.count == 4)
    #expect(plan.substitute?.lost == ServerIndex(1))
    #expect(!RedundancyPlan.isWhole(home, stored: .of(3)))
    #expect(!RedundancyPlan.isWhole(home, stored: .of(3, 4)))
    #expect(RedundancyPlan.isWhole(home, stored: .of(1, 3)))
  }
}
