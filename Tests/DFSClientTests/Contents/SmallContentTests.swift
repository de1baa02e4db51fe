import DFSCore
import DFSTestSupport
import DFSWire
import Logging
import Synchronization
import Testing

@testable import DFSClient

/// Contents whose parts are small, from four real servers.
@Suite(.serialized, .timeLimit(.minutes(3))) struct SmallContentTests {
  private func check(
    _ setting: ClientSetting, _ version: Content, is content: TestContent,
    within limit: Duration = .seconds(5)
  ) async throws {
    let begin = ContinuousClock.now
    let bytes = try await setting.client.read(version, 0..<version.size)
    #expect(ContinuousClock.now - begin < limit)
    #expect(bytes == (try content.bytes(0..<content.size)), "\(content.size) bytes")
    // A part of it is a part of it.
    let (from, to) = (version.size / 3, version.size - version.size / 5)
    let middle = try await setting.client.read(version, from..<to)
    #expect(middle == (try content.bytes(from..<to)), "\(from) to \(to) of \(content.size)")
  }

  @Test func ofAllSizesWithEveryServerAway() async throws {
    try await ClientSetting.run { setting in
      var stored: [(TestContent, Content)] = []
      for size: UInt64 in [1, 2, 3, 4, 5, 4096, 131_072, 131_075, 131_076] {
        let content = TestContent(size: size, seed: size)
        stored.append((content, try await setting.put("\(size)", content)))
      }
      for (content, version) in stored { try await check(setting, version, is: content) }
      for server in ServerIndex.all {
        try await setting.kill(server)
        for (content, version) in stored { try await check(setting, version, is: content) }
        try await setting.servers.restart(server)
        try await eventually("\(server) is back") { setting.client.cluster.reachable == .all }
      }
    }
  }

  /// Who was asked does not answer: the others are.
  @Test func aFrozenServerIsOvertaken() async throws {
    try await ClientSetting.run { setting in
      let content = TestContent(size: 10_000)
      let version = try await setting.put("a", content)
      for server in ServerIndex.all {
        setting.servers.freeze(server)
        try await check(setting, version, is: content, within: .seconds(3))
        setting.servers.thaw(server)
        try await eventually("\(server) answers") { setting.client.cluster.reachable == .all }
      }
    }
  }

  @Test func whatIsOnNoServerThatIsUpIsIncomplete() async throws {
    try await ClientSetting.run { setting in
      let version = try await setting.put("a", TestContent(size: 10_000))
      for server in version.placement.holders(of: PartIndex(2)).servers {
        try await setting.kill(server)
      }
      let error = await #expect(throws: DFSError.self) {
        try await setting.client.read(version, 0..<version.size)
      }
      #expect(error?.code == .incomplete)
    }
  }

  /// A version whose row says so, but the servers' copies are others.
  @Test func bytesOfAnotherContentAreNotBelieved() async throws {
    try await ClientSetting.run { setting in
      let stored = try await setting.put("a", TestContent(size: 10_000))
      var digests = stored.partDigests
      digests[1] = BlockChecksum(digests[1].value ^ 1)
      let version = Content(
        id: stored.id, size: stored.size, md5: stored.md5, placement: stored.placement,
        partDigests: digests)
      let error = await #expect(throws: DFSError.self) {
        try await setting.client.read(version, 0..<version.size)
      }
      #expect(error?.code == .damaged)
    }
  }

  /// What is expected to be read is read once, and is there when it is read.
  @Test func whatIsExpectedComesAhead() async throws {
    try await ClientSetting.run(readCacheBytes: 64 << 20) { setting in
      let client = setting.client
      let file = try await setting.file("a", TestContent(size: 4000))
      let version = try #require(file.version)
      _ = client.expectReading(file.id)
      let ids = PartIndex.all.map { PartID(version: version.id, part: $0) }
      // Whatever is not here or on its way fails.
      let found = try await client.transfer.blocks.wholes(ids) { _ in [:] }
      #expect(found.map(\.count) == [1000, 1000, 1000, 1000])
    }
  }
}

extension SmallContentTests {
  /// What comes ahead tells how current its servers are; what another client stored before the call is found.
  @Test func whatIsExpectedIsNotTakenForWhatIsCurrent() async throws {
    try await ClientSetting.run(readCacheBytes: 64 << 20) { setting in
      let reader = try await DFSClient.connect(
        setting.servers.configuration, credentials: setting.servers.credentials(),
        minimumServers: 4, logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
      let name = try FileName("a")
      for round in 1...30 as ClosedRange<UInt64> {
        let content = TestContent(size: 4000 + round)
        let stored = try await setting.file("a", content)
        let id = try await reader.lookup(.root, name, .pushed).id
        let freshness = reader.expectReading(id)
        let found = try await reader.lookup(.root, name, freshness)
        #expect(found.version == stored.version, "\(round)")
        let version = try #require(found.version)
        let bytes = try await reader.read(version, 0..<version.size)
        #expect(bytes == (try content.bytes(0..<version.size)))
        // The same call may look once more, and then asks.
        #expect(try await reader.lookup(.root, name, freshness).version == stored.version)
      }
      await reader.close()
    }
  }
}

/// Which servers are asked for small parts.
@Suite struct SmallFetchTests {
  private func version(_ md5: UInt8, low: UInt64) -> Content {
    let digest = MD5Digest.of([md5])
    return Content(
      id: VersionID(high: 0, low: low), size: 4000, md5: digest, placement: Placement(md5: digest),
      partDigests: PartIndex.all.map { _ in BlockChecksum(0) })
  }

  @Test func twoServersHaveAllParts() {
    var used: ServerSet = []
    for low in 0..<8 {
      for seed in 0..<8 {
        let version = version(UInt8(seed), low: UInt64(low))
        let asked = SmallFetch.assign(PartIndex.all, of: version) { _ in true }
        #expect(asked.count == 2)
        #expect(asked.values.joined().sorted { $0.value < $1.value } == PartIndex.all)
        for (server, parts) in asked {
          used.insert(server)
          #expect(parts.allSatisfy { version.placement.holders(of: $0).contains(server) })
        }
      }
    }
    #expect(used == .all, "each has to do")
  }

  @Test(arguments: ServerIndex.all) func oneServerIsAway(_ away: ServerIndex) {
    let version = version(0, low: 0)
    let asked = SmallFetch.assign(PartIndex.all, of: version) { $0 != away }
    #expect(asked.count == 2 && asked[away] == nil)
    #expect(asked.values.joined().count == 4)
  }

  @Test func neighboursAreAway() {
    let version = version(0, low: 0)
    let part = PartIndex(0)
    let away = version.placement.holders(of: part)
    let asked = SmallFetch.assign(PartIndex.all, of: version) { !away.contains($0) }
    let parts = Set(asked.values.joined())
    #expect(parts == Set(PartIndex.all).subtracting([part]), "all others")
    #expect(SmallFetch.assign([part], of: version) { !away.contains($0) }.isEmpty)
    #expect(SmallFetch.assign([], of: version) { _ in true }.isEmpty)
  }
}

@Suite struct WholesTests {
  private let parts = PartIndex.all.map {
    PartID(version: VersionID(high: 0, low: 1), part: $0)
  }

  @Test func partsAreLoadedOnceHoweverManyAsk() async throws {
    let loader = BlockLoader(cacheBytes: 64 << 20)
    let loads = Mutex<[[PartIndex]]>([])
    let gate = Promise<Void>()
    let load: BlockLoader.WholesLoad = { ids in
      loads.withLock { $0.append(ids.map(\.part)) }
      try? await gate.value()
      return Dictionary(
        uniqueKeysWithValues: ids.map { ($0.part, .success([UInt8($0.part.value)])) })
    }
    loader.loadWholesAhead([parts[0], parts[1]], load: load)
    loader.loadWholesAhead([parts[1]], load: load)
    try await withThrowingTaskGroup(of: [[UInt8]].self) { group in
      for _ in 0..<3 {
        group.addTask { [parts] in try await loader.wholes(parts, load: load) }
      }
      try await eventually("both loads") { loads.withLock { $0.count } == 2 }
      gate.fulfil(.success(()))
      for try await found in group { #expect(found == [[0], [1], [2], [3]]) }
    }
    #expect(
      loads.withLock { $0 } == [[PartIndex(0), PartIndex(1)], [PartIndex(2), PartIndex(3)]])
    #expect(try await loader.wholes(parts, load: load).count == 4)
    #expect(loads.withLock { $0.count } == 2, "they are kept")
  }

  @Test func aFailureIsToldAndNotKept() async throws {
    let loader = BlockLoader(cacheBytes: 64 << 20)
    let lost = DFSError(.damaged, "no")
    do {
      _ = try await loader.wholes([parts[0], parts[1]]) { ids in
        [ids[0].part: .success([1]), ids[1].part: .failure(lost)]
      }
      Issue.record("a failed load was answered")
    } catch {
      #expect(error == lost)
    }
    let found = try await loader.wholes([parts[0], parts[1]]) { ids in
      #expect(ids == [parts[1]], "the other one is here")
      return [ids[0].part: .success([2])]
    }
    #expect(found == [[1], [2]])
  }

  @Test func withoutACacheNothingIsLoadedAhead() async throws {
    let loader = BlockLoader(cacheBytes: 0)
    loader.loadWholesAhead(parts) { _ in
      Issue.record("nobody could use it")
      return [:]
    }
    let found = try await loader.wholes([parts[0]]) { _ in [PartIndex(0): .success([9])] }
    #expect(found == [[9]])
  }
}
