import DFSCore
import DFSTestSupport
import Testing

@testable import DFSClient

/// Layers that are published to four real servers, and read over what is below.
@Suite(.serialized, .timeLimit(.minutes(3))) struct LayerReadTests {
  /// All that happens to a small file; its layers travel with the changes.
  @Test func smallLayers() async throws {
    try await ClientSetting.run { setting in
      let client = setting.client
      var file = try await LayeredFile("a", base: 10_000, by: client)
      try await file.write([100..<200, 5000..<5001], by: client)
      try await file.check(by: client)
      // Longer, with a hole; shorter; longer again; a hole; nothing but a size.
      try await file.write([20_000..<20_010], by: client)
      try await file.write([], cut: 150, size: 150, by: client)
      try await file.check(by: client)
      try await file.write([160..<170], size: 30_000, by: client)
      try await file.check(by: client)
      try await file.write([0..<10], zeros: [20..<120, 165..<168], by: client)
      try await file.check(by: client)
      try await file.write([], cut: 0, size: 0, by: client)
      try await file.check(by: client)
      try await file.write([3..<9], size: 100, by: client)
      try await file.check(by: client)
      #expect(try file.version.layers.count == 7)
      let other = try await setting.another()
      try await file.check(by: other)
      #expect(try await setting.checkRows(of: file.inode.id, by: other) == file.version)
      await other.close()
    }
  }

  @Test func largeLayers() async throws {
    try await ClientSetting.run(readCacheBytes: 32 << 20) { setting in
      let client = setting.client
      var file = try await LayeredFile("a", base: 3_000_000, by: client)
      try await file.write([500_000..<900_000, 2_000_000..<2_000_003], by: client)
      // Across the layer before, the end, and the limit of one read.
      try await file.write([800_000..<1_300_000, 2_900_000..<3_200_000], by: client)
      try await file.write([1000..<1001], zeros: [600_000..<700_000], cut: 2_500_000, by: client)
      let version = try file.version
      #expect(version.layers.map { $0.content.split.isInline } == [false, false, true])
      try await file.check(by: client)
      let other = try await setting.another()
      try await file.check(by: other)
      await other.close()
    }
  }

  /// Where an index is: up to 256 bytes in the row, else before the bytes in the content.
  @Test func longIndexesAreInTheContent() async throws {
    try await ClientSetting.run { setting in
      let client = setting.client
      var file = try await LayeredFile("a", base: 10_000, by: client)
      // The count takes a byte, each extent two, the last one three or four.
      let some = (0..<126).map { $0 * 20 + 5..<$0 * 20 + 6 }
      try await file.write(some + [6000..<6001], by: client)
      let first = try #require(try file.version.layers.last)
      #expect(first.content.size == 127)
      let extents = try await client.layers.extents(of: first)
      #expect(first.index == .row(extents) && LayerIndex.encoded(extents).count == 256)
      try await file.write(some + [6000..<6100], by: client)
      let second = try #require(try file.version.layers.last)
      #expect(second.index == .content(bytes: 257) && second.content.size == 257 + 226)
      // Parts of their own, not only in the change.
      try await file.write((0..<900).map { $0 * 1000 + 7..<$0 * 1000 + 207 }, by: client)
      let third = try #require(try file.version.layers.last)
      #expect(third.dataStart > 256 && third.content.size == third.dataStart + 180_000)
      #expect(!third.content.split.isInline)
      try await file.check(by: client)
      let other = try await setting.another()
      try await file.check(by: other)
      await other.close()
    }
  }

  /// Random histories, by two clients in turns.
  @Test(arguments: [1, 2, 3] as [UInt64]) func randomHistories(_ seed: UInt64) async throws {
    try await ClientSetting.run { setting in
      let clients = [setting.client, try await setting.another()]
      var random = SplitMix64(seed: seed)
      var file = try await LayeredFile(
        "a", base: random.pick([0, 1000, 300_000]), by: clients[0], seed: seed)
      for round in 0..<15 {
        let client = clients[round % 2]
        let size = file.bytes.count
        let cut = random.chance(25) ? random.below(size + 1) : size
        let limit = random.pick([50, 5000, 200_000])
        var (ranges, zeros): ([Range<Int>], [Range<Int>]) = ([], [])
        var end = 0
        for _ in 0..<random.below(5) {
          let start = end + random.below(limit)
          end = start + 1 + random.below(limit)
          if random.chance(70) || end > cut {
            ranges.append(start..<end)
          } else {
            zeros.append(start..<end)
          }
        }
        let least = max(cut, end)
        try await file.write(
          ranges, zeros: zeros, cut: cut, size: least + (random.chance(20) ? 77 : 0), by: client)
        try await file.check(by: clients[(round + 1) % 2])
      }
      #expect(try file.version.layers.count == 15)
      await clients[1].close()
    }
  }

  /// A damaged index is not believed.
  @Test func anIndexThatIsNoneIsDamaged() async throws {
    try await ClientSetting.run { setting in
      let client = setting.client
      var file = try await LayeredFile("a", base: 1000, by: client)
      try await file.write((0..<200).map { $0 * 5..<$0 * 5 + 2 }, by: client)
      let version = try file.version
      let layer = try #require(version.layers.last)
      for (bytes, size) in [(layer.dataStart - 1, layer.size), (layer.dataStart, 900)] {
        let bad = Layer(
          inode: InodeID(5), content: layer.content, cut: 0, size: size,
          index: .content(bytes: UInt32(bytes)))
        let other = Version(id: version.id, base: version.base, layers: [bad])
        let error = await #expect(throws: DFSError.self) { try await client.read(other, 0..<10) }
        #expect(error?.code == .damaged)
      }
    }
  }
}
