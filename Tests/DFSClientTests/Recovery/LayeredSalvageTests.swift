import DFSCore
import Testing

@testable import DFSClient

/// What can be had of files with layers that are not whole.
@Suite(.serialized, .timeLimit(.minutes(3))) struct LayeredSalvageTests {
  private static let block = UInt64(Limits.blockBytes)

  /// Reads everything, and tells what is missing.
  /// - Returns: the bytes, with zeros where they are missing.
  private func salvage(
    _ inode: Inode, _ setting: ClientSetting
  ) async throws -> ([UInt8], Gaps) {
    let version = try #require(inode.version)
    let salvage = Salvage(version, on: setting.client)
    var gaps = Gaps()
    var read: [UInt8] = []
    let split = Split(size: version.size)
    for part in PartIndex.all {
      for piece in split.whole(part).steps(of: Limits.chunkBytes) {
        let runs = try await salvage.read(piece)
        for run in runs {
          #expect(run.range.lowerBound == UInt64(read.count))
          switch run.content {
          case .bytes(let bytes):
            #expect(bytes.count == run.range.count)
            read += bytes
          case .missing: read += [UInt8](repeating: 0, count: run.range.count)
          }
        }
        gaps.add(runs, of: part)
      }
    }
    return (read, gaps)
  }

  /// The bytes that are there, with zeros in the gaps.
  private func zeroed(_ bytes: [UInt8], _ ranges: [Range<UInt64>]) -> [UInt8] {
    var bytes = bytes
    for range in ranges { for place in range { bytes[Int(place)] = 0 } }
    return bytes
  }

  private func bytes(of inode: Inode, _ setting: ClientSetting) async throws -> [UInt8] {
    try await setting.client.readWhole(try #require(inode.version), 0..<inode.size)
  }

  @Test func whatALayerLacksIsMissingWhereItShows() async throws {
    try await ClientSetting.run { setting in
      var inode = try await setting.file("f", TestContent(size: 4 << 20))
      inode = try await setting.lay(TestContent(size: 1 << 20, seed: 2), at: 300_000, over: inode)
      // A newer one covers some of it, and the end is cut off and grows again.
      inode = try await setting.lay(
        try TestContent(size: 1000, seed: 3).bytes(0..<1000), [LayerExtent(320_000..<321_000)],
        cut: 3 << 20, size: 4 << 20, over: inode)
      let whole = try await bytes(of: inode, setting)
      let layer = try #require(inode.version?.layers.first).content
      let part = PartIndex(0)
      let (first, second) = try setting.holders(of: part, layer)
      try setting.flip(part, of: layer, on: first, at: 9)
      try setting.flip(part, of: layer, on: second, at: 3 * Self.block)
      let (all, none) = try await salvage(inode, setting)
      let isWhole = all == whole
      #expect(none.isEmpty && isWhole)
      try setting.flip(part, of: layer, on: second, at: 10)
      let (read, gaps) = try await salvage(inode, setting)
      let expected: [Range<UInt64>] = [300_000..<320_000, 321_000..<300_000 + Self.block]
      #expect(gaps.all.map(\.range) == expected)
      #expect(gaps.all.allSatisfy { $0.lack.place == .layer(1) && $0.lack.part == part })
      #expect(gaps.all.allSatisfy { Set($0.lack.problems.keys) == [first, second] })
      let isRest = read == zeroed(whole, expected)
      #expect(isRest)
    }
  }

  @Test func whatTheBaseLacksIsMissingWhereNoLayerIs() async throws {
    try await ClientSetting.run { setting in
      let file = try await setting.file("f", TestContent(size: 4 << 20))
      let base = try #require(file.content)
      let part = PartIndex(2)
      let start = base.split.range(of: part).lowerBound
      let inode = try await setting.scatter(
        TestContent(size: 0, seed: 4), length: 1000, distance: 50_000, over: file)
      let whole = try await bytes(of: inode, setting)
      let (first, second) = try setting.holders(of: part, base)
      for server in [first, second] { try setting.delete(part, of: base, on: server) }
      let (read, gaps) = try await salvage(inode, setting)
      let lost = start..<start + (1 << 20)
      let covered = stride(from: UInt64(0), to: 4 << 20, by: 50_000).map { $0..<$0 + 1000 }
      var expected: [Range<UInt64>] = []
      var next = lost.lowerBound
      for range in covered where range.overlaps(lost) {
        if next < range.lowerBound { expected.append(next..<range.lowerBound) }
        next = range.upperBound
      }
      if next < lost.upperBound { expected.append(next..<lost.upperBound) }
      #expect(gaps.all.map(\.range) == expected)
      #expect(gaps.all.allSatisfy { $0.lack.place == .base && $0.lack.part == part })
      #expect(gaps.all.first?.lack.problems[first]?.code == .notFound)
      let isRest = read == zeroed(whole, expected)
      #expect(isRest)
    }
  }

  /// What such a layer covers is not known: only what newer ones wrote is.
  @Test func aLayerWithoutItsIndexCoversAll() async throws {
    try await ClientSetting.run { setting in
      let file = try await setting.file("f", TestContent(size: 1 << 20))
      let scattered = try await setting.scatter(
        TestContent(size: 0, seed: 4), length: 500, distance: 1000, over: file)
      let inode = try await setting.lay(
        TestContent(size: 70_000, seed: 6), at: 200_000, over: scattered)
      let whole = try await bytes(of: inode, setting)
      let layer = try #require(inode.version?.layers.first).content
      let part = PartIndex(0)
      let (first, second) = try setting.holders(of: part, layer)
      try setting.delete(part, of: layer, on: first)
      let (all, none) = try await salvage(inode, setting)
      let isWhole = all == whole
      #expect(none.isEmpty && isWhole)
      try setting.flip(part, of: layer, on: second, at: 0)
      let (read, gaps) = try await salvage(inode, setting)
      let expected: [Range<UInt64>] = [0..<200_000, 270_000..<1 << 20]
      #expect(gaps.all.map(\.range) == expected)
      #expect(gaps.all.allSatisfy { $0.lack.place == .layer(1) && $0.lack.part == part })
      #expect(gaps.all.first?.lack.problems[first]?.code == .notFound)
      #expect(gaps.all.first?.lack.problems[second]?.code == .damaged)
      let isRest = read == zeroed(whole, expected)
      #expect(isRest)
    }
  }
}
