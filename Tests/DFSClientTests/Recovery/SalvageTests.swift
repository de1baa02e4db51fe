import DFSCore
import Testing

@testable import DFSClient

/// What can be had of versions that are not whole.
@Suite(.serialized, .timeLimit(.minutes(3))) struct SalvageTests {
  private static let block = UInt64(Limits.blockBytes)

  /// Reads everything, compares what there is with the content, and tells what is missing.
  private func salvage(
    _ version: Content, _ content: TestContent, _ setting: ClientSetting
  ) async throws -> Gaps {
    let salvage = Salvage(Version(version), on: setting.client)
    var gaps = Gaps()
    var next: UInt64 = 0
    for part in PartIndex.all {
      for piece in version.split.whole(part).steps(of: Limits.chunkBytes) {
        let runs = try await salvage.read(piece)
        for run in runs {
          #expect(run.range.lowerBound == next)
          next = run.range.upperBound
          if case .bytes(let bytes) = run.content {
            let expected = try content.bytes(run.range)
            #expect(bytes == expected, "bytes \(run.range)")
          }
        }
        gaps.add(runs, of: part)
      }
    }
    #expect(next == version.size)
    return gaps
  }

  @Test func bothCopiesDamagedAtDifferentBlocksAreWholeTogether() async throws {
    try await ClientSetting.run { setting in
      let content = TestContent(size: 4 << 20)
      let version = try await setting.put("f", content)
      let (first, second) = try setting.holders(of: PartIndex(2), version)
      try setting.flip(PartIndex(2), of: version, on: first, at: 3 * Self.block)
      try setting.flip(PartIndex(2), of: version, on: second, at: 7 * Self.block)
      await #expect(throws: DFSError.self) {
        try await setting.client.read(version, version.split.range(of: PartIndex(2)))
      }
      #expect(try await salvage(version, content, setting).isEmpty)
    }
  }

  @Test func blocksThatAreBadInBothCopiesAreTheOnlyGaps() async throws {
    try await ClientSetting.run { setting in
      let content = TestContent(size: (8 << 20) + 3, seed: 5)
      let version = try await setting.put("f", content)
      let part = PartIndex(3)
      let (first, second) = try setting.holders(of: part, version)
      // Block 31 is whole, block 32 the last, of a few bytes.
      for place in [4 * Self.block, 5 * Self.block + 9, 20 * Self.block, 32 * Self.block + 1] {
        try setting.flip(part, of: version, on: first, at: place)
        try setting.flip(part, of: version, on: second, at: place)
      }
      let start = version.split.range(of: part).lowerBound
      let gaps = try await salvage(version, content, setting)
      let expected = [
        start + 4 * Self.block..<start + 6 * Self.block,
        start + 20 * Self.block..<start + 21 * Self.block,
        start + 32 * Self.block..<version.size,
      ]
      #expect(gaps.all.map(\.range) == expected)
      #expect(gaps.all.allSatisfy { Set($0.lack.problems.keys) == [first, second] })
      #expect(gaps.all.allSatisfy { $0.lack.problems.values.allSatisfy { $0.code == .damaged } })
      #expect(gaps.bytes == 3 * Self.block + 3)
    }
  }

  @Test func aPartThatIsGoneIsOneGapWithBothReasons() async throws {
    try await ClientSetting.run { setting in
      let content = TestContent(size: 10 << 20)
      let version = try await setting.put("f", content)
      let (first, second) = try setting.holders(of: PartIndex(0), version)
      try setting.delete(PartIndex(0), of: version, on: first)
      #expect(try await salvage(version, content, setting).isEmpty)
      try await setting.kill(second)
      let gaps = try await salvage(version, content, setting)
      #expect(gaps.all.map(\.range) == [version.split.range(of: PartIndex(0))])
      #expect(gaps.all.first?.lack.problems[first]?.code == .notFound)
      #expect(gaps.all.first?.lack.problems[second]?.code == .disconnected)
    }
  }

  @Test func gapsOfSeveralPartsStandInTheOrderOfTheContent() {
    let down = [ServerIndex(0): DFSError(.disconnected, "down")]
    let bad = [ServerIndex(0): DFSError(.damaged, "damaged")]
    func run(
      _ range: Range<UInt64>, _ part: Int, _ problems: [ServerIndex: DFSError]?,
      of place: ContentPlace = .whole
    ) -> Salvage.Run {
      let bytes = [UInt8](repeating: 1, count: range.count)
      let lack = problems.map {
        Salvage.Lack(place: place, part: PartIndex(part), problems: $0)
      }
      return Salvage.Run(range: range, content: lack.map { .missing($0) } ?? .bytes(bytes))
    }
    var gaps = Gaps()
    gaps.add([run(20..<25, 2, down)], of: PartIndex(2))
    gaps.add([run(0..<5, 0, nil), run(5..<7, 0, bad)], of: PartIndex(0))
    gaps.add([run(7..<8, 0, bad), run(8..<10, 0, down)], of: PartIndex(0))
    #expect(gaps.all.map(\.range) == [5..<8, 8..<10, 20..<25])
    #expect(gaps.all.map(\.lack.part) == [PartIndex(0), PartIndex(0), PartIndex(2)])
    #expect(gaps.bytes == 10 && !gaps.isEmpty && Gaps().isEmpty)
    // One part of a layer lies across two parts of the file.
    var layered = Gaps()
    layered.add([run(25..<30, 3, down, of: .layer(2))], of: PartIndex(1))
    layered.add([run(20..<25, 3, down, of: .layer(2)), run(18..<20, 3, nil)], of: PartIndex(0))
    layered.add([run(30..<31, 3, down, of: .base)], of: PartIndex(2))
    #expect(layered.all.map(\.range) == [20..<30, 30..<31])
  }
}
