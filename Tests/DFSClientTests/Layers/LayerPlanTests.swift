import DFSCore
import Testing

@testable import DFSClient

/// When layers are merged.
@Suite struct LayerPlanTests {
  private func layers(_ sizes: [UInt64]) -> [Layer] {
    sizes.enumerated().map { number, size in
      let content = TransactionTests.Tree.content(size)
      return Layer(
        inode: InodeID(UInt64(number)), content: content, cut: 0, size: size, index: .row([]))
    }
  }

  private func run(_ sizes: [UInt64], free: Int = 0) -> Range<Int>? {
    LayerPlan.run(of: layers(sizes)) { $0.inode.value >= UInt64(free) }
  }

  @Test func theLowestFullTierIsMergedWithAllThatIsNewer() {
    let small = [UInt64](repeating: 4096, count: 7)
    #expect(run(small) == nil && run(small + [1]) == 0..<8)
    #expect(run([40_000] + small + [1]) == 1..<9, "what is larger is not written again")
    let larger = [UInt64](repeating: 30_000, count: 8)
    #expect(run(larger + small) == 0..<15, "what is newer goes along")
    #expect(run(larger + small + [1]) == 8..<16)
    #expect(run(small + [1], free: 1) == nil, "one is being settled")
  }

  @Test func whereThereIsRoomForNoMoreAllAreMerged() {
    // Seven of each tier: none is full.
    let tiers = (0..<14).flatMap { tier in
      [UInt64](repeating: 4096 << UInt64(3 * (13 - tier)), count: 7)
    }
    #expect(tiers.count == 98 && run(Array(tiers.suffix(95))) == nil)
    #expect(run(tiers) == 0..<98 && run(tiers, free: 50) == 50..<98 && run(tiers, free: 97) == nil)
  }
}
