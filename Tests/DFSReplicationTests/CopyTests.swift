import DFSCore
import DFSReplication
import Testing

/// Which copies a server is asked for, when one may go, and how substitutes are rebalanced.
@Suite struct CopyTests {
  private static let version = VersionID(high: 1, low: 2)
  private static let other = VersionID(high: 3, low: 4)
  /// x = 0: server i holds parts i and i + 1.
  private static let home = Placement(
    holders: [[0, 3], [0, 1], [1, 2], [2, 3]].map { ServerSet($0.map { ServerIndex($0) }) })

  private static func content(
    _ version: VersionID = version, _ placement: Placement = home
  ) -> RowContent {
    RowContent(version: version, placement: placement, home: home)
  }

  private static func id(_ part: Int, _ version: VersionID = version) -> PartID {
    PartID(version: version, part: PartIndex(part))
  }

  @Test func aPlacementIsPackedAndUnpacked() {
    #expect(Self.home.packed == 0b1100_0110_0011_1001)
    for value in [0, 1, 0x9c63, UInt16.max] { #expect(Placement(packed: value).packed == value) }
    let content = Self.content()
    #expect(RowContent(version: Self.version, copies: content.copies) == content)
    #expect([UInt8](writing: 64) { content.write(to: &$0) }.count == 20)
  }

  @Test func aServerIsAskedForItsPartsOnly() {
    let required = RequiredReplicas(server: ServerIndex(1))
    #expect(required.copies(of: nil).isEmpty)
    #expect(required.copies(of: Self.content()) == [Self.id(1), Self.id(2)])
  }

  @Test func whatAChangeAsksAndLetsGo() {
    let required = RequiredReplicas(server: ServerIndex(1))
    let (old, new) = (Self.content(), Self.content(Self.other))
    #expect(required.difference(from: old, to: old) == RequiredReplicas.Difference())
    let replaced = required.difference(from: old, to: new)
    #expect(replaced.added == [Self.id(1, Self.other), Self.id(2, Self.other)])
    #expect(replaced.dropped == [Self.id(1), Self.id(2)])
    #expect(required.difference(from: old, to: nil).added.isEmpty)
    #expect(required.difference(from: nil, to: new).dropped.isEmpty)
  }

  @Test(arguments: ServerIndex.all) func theOppositeServerStandsIn(_ away: ServerIndex) {
    let placement = Self.home.substituting(for: ServerSet([away]))
    for part in PartIndex.all {
      #expect(placement.holders(of: part).count == 2)
      #expect(!placement.holders(of: part).contains(away))
    }
    // The one opposite gets what it lacked, the neighbours keep what they have.
    let moved = placement.copies(missingIn: Self.home)
    #expect(Set(moved.map(\.server)) == [away.opposite] && moved.count == 2)
    #expect(Set(moved.map(\.part)) == Set(Self.home.parts(on: away)))
    #expect(Self.home.substituting(for: .all) == Self.home)
    // When they are rebalanced, only the substitute lets copies go.
    for server in ServerIndex.all {
      let difference = RequiredReplicas(server: server).difference(
        from: Self.content(Self.version, placement), to: Self.content())
      #expect(difference.dropped.isEmpty == (server != away.opposite))
      #expect(difference.added.isEmpty == (server != away))
    }
  }

  @Test func copiesAreRebalancedOneStepAfterTheOther() {
    let away = ServerIndex(1)
    let content = Self.content(Self.version, Self.home.substituting(for: ServerSet([away])))
    func steps(_ held: Placement, _ reachable: ServerSet = .all) -> [Healing.Step] {
      Healing.steps(home: content, held: held, reachable: reachable)
    }
    #expect(Healing.steps(home: Self.content(), held: Self.home, reachable: .all).isEmpty)
    let gone = ServerSet.all.subtracting(ServerSet([away]))
    #expect(steps(content.placement, gone) == [.wait(ServerSet([away]))])
    let bring = steps(content.placement)
    #expect(bring == [.bring(PartIndex(1), to: away), .bring(PartIndex(2), to: away)])
    var held = content.placement.adding(away, to: PartIndex(1))
    #expect(steps(held) == [.bring(PartIndex(2), to: away)])
    held = held.adding(away, to: PartIndex(2))
    #expect(steps(held) == [.record(Self.home)])
  }

  @Test func aCopyMayGoOnlyWhenNobodyCanNeedIt() {
    let release = CopyRelease(number: 7, sinceSeconds: 100)
    func mayGo(
      committed: UInt64 = 7, durable: UInt64 = 7, isHeld: Bool = false, now: Int64 = 160
    ) -> Bool {
      release.mayRemove(
        committed: committed, durable: durable, isHeld: isHeld, nowSeconds: now, graceSeconds: 60)
    }
    #expect(mayGo())
    #expect(!mayGo(committed: 6))
    #expect(!mayGo(durable: 6))
    #expect(!mayGo(isHeld: true))
    #expect(!mayGo(now: 159))
  }
}
