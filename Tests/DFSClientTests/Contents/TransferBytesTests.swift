import DFSCore
import DFSTestSupport
import DFSWire
import Foundation
import Testing

@testable import DFSClient

/// Reads of a few bytes here and there in a large content, from four real servers.
@Suite(.serialized, .timeLimit(.minutes(5))) struct TransferBytesTests {
  private let content = TestContent(size: 24 << 20)

  /// From the end to the beginning, none near another; every third goes on in the next block.
  private var places: [Range<UInt64>] {
    let step = 7 * UInt64(Limits.blockBytes)
    return (1..<content.size / step).reversed().map { number in
      let start = number * step + (number % 3 == 0 ? UInt64(Limits.blockBytes) - 2000 : 777)
      return start..<start + 4096
    }
  }

  private func check(
    _ version: Content, _ setting: TransferSetting, within limit: Duration = .seconds(10)
  ) async throws {
    let clock = ContinuousClock()
    for place in places {
      let begin = clock.now
      #expect(try await setting.transfer.read(version, place) == content.bytes(place), "\(place)")
      #expect(clock.now - begin < limit)
    }
  }

  private func part(_ version: Content, at place: UInt64) throws -> (id: PartID, blocks: Range<Int>)
  {
    let piece = try #require(version.split.pieces(of: place..<place + 1).first)
    return (PartID(version: version.id, part: piece.part), piece.blocks)
  }

  @Test func theyComeAloneUntilTheirBlockIsReadAgain() async throws {
    try await TransferSetting.run { setting in
      let version = try await setting.upload(content)
      try await check(version, setting)
      for place in places {
        let (id, blocks) = try part(version, at: place.lowerBound)
        #expect(!setting.transfer.blocks.isExpected(id, blocks), "\(place)")
      }
      try await check(version, setting)
      for place in places {
        let (id, blocks) = try part(version, at: place.lowerBound)
        #expect(setting.transfer.blocks.isExpected(id, blocks), "\(place)")
      }
    }
  }

  @Test func oneFrozenServerKeepsNobodyLong() async throws {
    try await TransferSetting.run { setting in
      let version = try await setting.upload(content)
      setting.servers.freeze(ServerIndex(1))
      try await check(version, setting, within: .seconds(2))
    }
  }

  /// Its file is open at the server when it is changed, moved away and removed.
  @Test(arguments: ["changed", "moved", "removed"])
  func whatHappensToACopyIsNoticed(change: String) async throws {
    try await TransferSetting.run(readCacheBytes: 0) { setting in
      let version = try await setting.upload(content)
      let place = UInt64(Limits.blockBytes) + 5
      let (id, _) = try part(version, at: place)
      let range = place..<place + 100
      let request = Request.GetBytes(id, range: range)
      let expected = try content.bytes(range)
      for server in version.placement.holders(of: id.part).servers {
        for _ in 0..<2 {
          let answer = try await setting.cluster.ask(server, request, timeout: .seconds(5))
          #expect(answer.bytes == expected)
        }
      }
      let server = try #require(version.placement.holders(of: id.part).preferred)
      let user = "\(setting.servers.directory(of: server))/\(FourServers.user)"
      let file = "\(user)/parts/\(id.description.prefix(2))/\(id)"
      switch change {
      case "changed":
        let handle = try FileHandle(forUpdating: URL(fileURLWithPath: file))
        try handle.seek(toOffset: place + 50_000)
        try handle.write(contentsOf: Data([1, 2, 3, 4, 5, 6, 7, 8]))
        try handle.close()
      case "moved": try FileManager.default.moveItem(atPath: file, toPath: user + "/tmp/moved")
      default: try FileManager.default.removeItem(atPath: file)
      }
      let error = await #expect(throws: DFSError.self) {
        try await setting.cluster.ask(server, request, timeout: .seconds(5))
      }
      #expect(error?.code == (change == "changed" ? .damaged : .notFound))
      #expect(try await setting.transfer.read(version, range) == expected)
    }
  }
}
