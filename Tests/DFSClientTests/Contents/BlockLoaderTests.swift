import DFSCore
import DFSTestSupport
import Synchronization
import Testing

@testable import DFSClient

@Suite struct BlockLoaderTests {
  private let part = PartID(version: VersionID(high: 0, low: 1), part: PartIndex(0))

  private func id(_ index: Int) -> BlockID { BlockID(part: part, index: index) }

  @Test func theCacheKeepsWhatWasUsedLast() {
    let limit = 3 * (10 + BlockCache.entryBytes)
    var cache = BlockCache(bytesLimit: limit)
    for index in 0..<3 { cache.insert(id(index), Array(repeating: 0, count: 10)) }
    #expect(cache.block(id(0)) != nil)
    cache.insert(id(3), Array(repeating: 0, count: 10))
    #expect(cache.contains(id(0)) && !cache.contains(id(1)))
    #expect(cache.bytes == limit)
  }

  @Test func theCacheStaysWithinItsLimit() {
    let limit = 10_000
    var cache = BlockCache(bytesLimit: limit)
    var random = SystemRandomNumberGenerator()
    for _ in 0..<10_000 {
      let block = id(Int.random(in: 0..<100, using: &random))
      if cache.block(block) == nil {
        cache.insert(block, Array(repeating: 1, count: Int.random(in: 1..<100, using: &random)))
      }
      #expect(cache.bytes <= limit)
    }
    cache.insert(id(1000), Array(repeating: 0, count: limit))
    #expect(!cache.contains(id(1000)))
  }

  /// A cache of 32 MiB took gigabytes for the blocks of files of a few bytes.
  @Test func smallBlocksCountWithWhatTheyTakeBesides() {
    var cache = BlockCache(bytesLimit: 1 << 20)
    for index in 0..<10_000 { cache.insert(id(index), [1]) }
    #expect(cache.count == (1 << 20) / (1 + BlockCache.entryBytes))
  }

  @Test func runsAreConsecutiveAndAtMostAMegabyte() {
    #expect(BlockLoader.runs([]) == [])
    #expect(BlockLoader.runs([3, 4, 6, 7, 8]) == [3..<5, 6..<9])
    #expect(BlockLoader.runs(Array(0..<33)) == [0..<16, 16..<32, 32..<33])
  }

  @Test func manyReadersLoadABlockOnce() async throws {
    let loader = BlockLoader(cacheBytes: 1 << 20)
    let loads = Mutex<[Range<Int>]>([])
    let gate = Promise<Void>()
    let load: @Sendable (Range<Int>) async throws(DFSError) -> [[UInt8]] = {
      (blocks: Range<Int>) async throws(DFSError) in
      loads.withLock { $0.append(blocks) }
      try await gate.value()
      return blocks.map { [UInt8($0)] }
    }
    try await withThrowingTaskGroup(of: [[UInt8]].self) { group in
      group.addTask { [part] in try await loader.blocks(part, 0..<4, load: load) }
      try await eventually("the first load") { loads.withLock { $0.count } == 1 }
      group.addTask { [part] in try await loader.blocks(part, 2..<6, load: load) }
      try await eventually("the second load") { loads.withLock { $0.count } == 2 }
      gate.fulfil(.success(()))
      var found: [[[UInt8]]] = []
      for try await blocks in group { found.append(blocks) }
      found.sort { $0[0][0] < $1[0][0] }
      let expected: [[[UInt8]]] = [[[0], [1], [2], [3]], [[2], [3], [4], [5]]]
      #expect(found == expected)
    }
    #expect(loads.withLock { $0 } == [0..<4, 4..<6])
    _ = try await loader.blocks(part, 0..<6, load: load)
    #expect(loads.withLock { $0.count } == 2)
  }

  @Test func aFailureIsNotKept() async throws {
    let loader = BlockLoader(cacheBytes: 1 << 20)
    let failing: @Sendable (Range<Int>) async throws(DFSError) -> [[UInt8]] = {
      (_: Range<Int>) async throws(DFSError) in
      throw DFSError(.damaged, "no")
    }
    let working: @Sendable (Range<Int>) async throws(DFSError) -> [[UInt8]] = {
      (_: Range<Int>) async throws(DFSError) in
      [[7]]
    }
    do {
      _ = try await loader.blocks(part, 0..<1, load: failing)
      Issue.record("a failed load was answered")
    } catch {
      #expect(error == DFSError(.damaged, "no"))
    }
    let found = try await loader.blocks(part, 0..<1, load: working)
    #expect(found == [[7]])
  }
}

@Suite struct ReadAheadTests {
  private let size: UInt64 = 1 << 30
  private let step: UInt64 = 128 << 10

  @Test func aHeadFetchesLittleOrNothing() {
    var ahead = ReadAhead(windowLimit: 4 << 20)
    #expect(ahead.accessed(0..<step, size: size) == .near)
    let next = 2 * step..<2 * step + 512 << 10
    #expect(ahead.accessed(step..<2 * step, size: size) == .stream(ahead: next))
  }

  @Test func aLongSequenceStaysUpToFourMegabytesAheadWithoutGapsOrRepeats() {
    var ahead = ReadAhead(windowLimit: 4 << 20)
    var fetched: UInt64 = 0
    for start in stride(from: 0, to: 64 << 20, by: UInt64.Stride(step)) {
      let range = UInt64(start)..<UInt64(start) + step
      guard case .stream(let next?) = ahead.accessed(range, size: size) else { continue }
      if fetched > 0 { #expect(next.lowerBound == fetched) }
      #expect(next.upperBound <= range.upperBound + 4 << 20)
      fetched = next.upperBound
    }
    #expect(fetched >= 64 << 20)
  }

  @Test func randomReadsFetchNothingAhead() {
    var ahead = ReadAhead(windowLimit: 4 << 20)
    for start in stride(from: UInt64(5 << 20), to: 512 << 20, by: 5 << 20).reversed() {
      #expect(ahead.accessed(start..<start + 4096, size: size) == .apart)
    }
    #expect(ahead.accessed(4096..<8192, size: size) == .near, "the beginning")
  }

  @Test func aSecondReadInABlockIsNearTheFirst() {
    var ahead = ReadAhead(windowLimit: 4 << 20)
    let block = UInt64(Limits.blockBytes)
    for number in (1...100 as ClosedRange<UInt64>).reversed() {
      let start = number * 8 * block
      #expect(ahead.accessed(start..<start + 10, size: size) == .apart)
    }
    for number in (1...100 as ClosedRange<UInt64>).reversed() {
      let start = number * 8 * block + 40_000
      #expect(ahead.accessed(start..<start + 10, size: size) == .near)
    }
    for number in (101...400 as ClosedRange<UInt64>).reversed() {
      let start = number * 8 * block
      #expect(ahead.accessed(start..<start + 10, size: size) == .apart)
    }
    let forgotten = 50 * 8 * block
    #expect(ahead.accessed(forgotten..<forgotten + 10, size: size) == .apart)
  }

  @Test func fourStreamsAreFollowedAtOnce() {
    var ahead = ReadAhead(windowLimit: 4 << 20)
    var hits = 0
    for round in 0..<10 {
      for stream in 0..<4 {
        let start = UInt64(stream) * (256 << 20) + UInt64(round) * step
        guard case .stream(_?) = ahead.accessed(start..<start + step, size: size) else { continue }
        hits += 1
      }
    }
    #expect(hits >= 12)
  }

  @Test func theEndIsNotPassed() {
    var ahead = ReadAhead(windowLimit: 4 << 20)
    _ = ahead.accessed(0..<step, size: 3 * step)
    let last = 2 * step..<3 * step
    #expect(ahead.accessed(step..<2 * step, size: 3 * step) == .stream(ahead: last))
    #expect(ahead.accessed(last, size: 3 * step) == .stream(ahead: nil))
  }
}
