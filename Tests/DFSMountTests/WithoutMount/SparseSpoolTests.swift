import DFSClient
import DFSCore
import DFSTestSupport
import Foundation
import Synchronization
import Testing

@testable import DFSMount

/// A file that is written over a stored version: nothing is fetched for it, and its content is that of an
/// array of bytes on which the same is done.
@Suite struct SparseSpoolTests {
  private static func bytes(_ count: Int, _ random: inout SplitMix64) -> [UInt8] {
    (0..<count).map { _ in UInt8.random(in: 1...255, using: &random) }
  }

  private static func content(_ count: Int) -> [UInt8] {
    var random = SplitMix64(seed: UInt64(count))
    return bytes(count, &random)
  }

  /// So long that no spool of it is small.
  private static let large = content(3_000_000)
  /// So small that it is stored as a whole.
  private static let small = content(120_000)

  // MARK: Against a model

  enum Setting: CaseIterable {
    case inMemory, onDisk, fewRanges, noRoomToSpare

    func file(_ content: [UInt8]) async throws -> StoredFile {
      switch self {
      case .inMemory: return try await StoredFile(content)
      case .onDisk: return try await StoredFile(content, memory: 0)
      case .fewRanges: return try await StoredFile(content, memory: 0, ranges: 5)
      case .noRoomToSpare:
        let stored = try await StoredFile(content, memory: 0)
        try stored.budget.charge(disk: 0, to: 32 << 20)
        return stored
      }
    }
  }

  @Test(arguments: Setting.allCases, 1...5 as ClosedRange<UInt64>)
  func randomOperations(_ setting: Setting, seed: UInt64) async throws {
    var random = SplitMix64(seed: seed)
    let stored = try await setting.file(Self.bytes(random.below(100_000), &random))
    for step in 0..<150 {
      try await operate(on: stored, &random)
      let (start, count) = (random.below(stored.model.count + 10), random.below(70_000))
      let expected = stored.model.dropFirst(start).prefix(count)
      #expect(try await stored.read(at: start, count: count) == Array(expected), "step \(step)")
      try await checkSeek(stored, from: random.below(stored.model.count + 1))
      #expect(stored.file.size == UInt64(stored.model.count))
      if setting == .fewRanges {
        let ranges = stored.file.state.withLock { $0.spool?.missing?.ranges.count ?? 0 }
        #expect(ranges <= 5, "\(ranges) ranges")
      }
    }
    try await stored.file.publish(durable: true) {}
    #expect(try await stored.stored() == stored.model)
    #expect(try await stored.read() == stored.model)
  }

  private func operate(on stored: StoredFile, _ random: inout SplitMix64) async throws {
    let size = stored.model.count
    let start = random.below(size + 3000)
    let range = start..<start + 1 + random.below(random.pick([10, 3000, 70_000]))
    switch random.below(12) {
    case 0, 1, 2, 3: try await stored.write(Self.bytes(range.count, &random), at: start)
    case 4: try await stored.write(Self.bytes(range.count, &random), at: nil)
    case 5: try await stored.truncate(to: random.below(size + 20_000))
    case 6:
      let (takesSpace, grows) = (random.chance(50), random.chance(50))
      try await stored.zero(range, takesSpace: takesSpace, grows: grows)
    case 7: try await stored.allocate(range, grows: random.chance(50))
    case 8:
      // The kernel asks for no more than there is, and for no range onto itself.
      let from = random.below(size + 10)
      let count = min(range.count, abs(start - from), max(0, size - from))
      try await stored.copy(from: from, to: start, count: count)
    case 9: try await stored.write([UInt8](repeating: 0, count: range.count), at: start)
    case 10 where random.chance(40):
      try await stored.file.publish(durable: random.chance(50)) {}
      if stored.files.state.withLock({ $0.publishes }) > 1 {
        #expect(try await stored.stored() == stored.model)
      }
    default: break
    }
  }

  /// Between where it is asked for and where data begins there are zeros, and so are there in a hole.
  private func checkSeek(_ stored: StoredFile, from offset: Int) async throws {
    let model = stored.model
    let data = try await stored.file.seek(UInt64(offset), .data, isExact: true)
    let hole = try await stored.file.seek(UInt64(offset), .hole, isExact: true)
    let end = data.map { Int($0) } ?? max(model.count, offset)
    #expect(end >= offset && model[min(offset, model.count)..<end].allSatisfy { $0 == 0 })
    guard offset < model.count else {
      #expect(data == nil && hole == nil)
      return
    }
    let found = try #require(hole.map { Int($0) })
    #expect(found >= offset && (found == model.count || found < model.count && model[found] == 0))
    #expect(data == nil || data != hole)
  }

  // MARK: Nothing is fetched

  @Test(arguments: [0, 1 << 20]) func theFirstChangeFetchesNothing(memory: Int) async throws {
    let content = Self.large
    let changes: [@Sendable (StoredFile) async throws -> Void] = [
      { try #require(try $0.writeNow([1], at: 2_000_000), "on the kernel's thread") },
      { try #require(try $0.writeNow([1], at: nil)) },
      { _ = try await $0.file.write([1], at: 7) {} },
      { try await $0.truncate(to: 1_000_000) },
      { try await $0.truncate(to: 4_000_000) },
      { try await $0.zero(5..<2_000_000, takesSpace: false, grows: false) },
      { try await $0.zero(5..<9, takesSpace: true, grows: true) },
      { try await $0.allocate(2_999_999..<3_000_100, grows: true) },
    ]
    for (number, change) in changes.enumerated() {
      let stored = try await StoredFile(content, memory: memory)
      try await change(stored)
      #expect(stored.reads == 0, "change \(number)")
      #expect(stored.budget.bytesOnDisk < 100 << 10, "change \(number)")
      #expect(stored.file.isDirty)
    }
  }

  @Test func copyingFetchesWhatIsCopied() async throws {
    let stored = try await StoredFile(Self.large, memory: 0)
    try await stored.copy(from: 10, to: 2_000_000, count: 1000)
    #expect(stored.files.state.withLock { $0.bytesRead } == 1000)
    #expect(
      try await stored.read(at: 1_999_990, count: 1020)
        == Array(stored.model[1_999_990..<2_001_010]))
  }

  /// What is written is not read from below, nor what was cut off.
  @Test func whatWasCutOffDoesNotComeBack() async throws {
    for memory in [0, 1 << 20] {
      let stored = try await StoredFile(Self.content(200_000), memory: memory)
      try await stored.truncate(to: 1000)
      try await stored.truncate(to: 150_000)
      #expect(stored.reads == 0)
      #expect(try await stored.read() == stored.model)
      try await stored.write([1, 2, 3], at: 120_000)
      try await stored.file.publish(durable: false) {}
      #expect(try await stored.stored() == stored.model)
    }
  }

  /// The version below is not needed for what was written from the front to the end.
  @Test func aWholeOverwriteReadsNothing() async throws {
    let stored = try await StoredFile(Self.content(300_000), memory: 0)
    let new = Array(Self.content(310_000).reversed())
    for start in stride(from: 0, to: new.count, by: 4096) {
      try await stored.write(Array(new[start..<min(start + 4096, new.count)]), at: start)
    }
    try await stored.file.publish(durable: false) {}
    #expect(stored.reads == 0)
    #expect(try await stored.stored() == new)
  }

  // MARK: Publishing

  /// A large file is not stored as a whole: what was written is.
  @Test func whatWasWrittenIsALayer() async throws {
    let stored = try await StoredFile(Self.large, memory: 0)
    for (number, place) in [5_000, 2_999_999, 1_000_000, 3_100_000].enumerated() {
      try await stored.write([UInt8(number), 7], at: place)
      try await stored.file.publish(durable: true) {}
      #expect(stored.files.state.withLock { $0.layers } == number + 1)
      #expect(try await stored.stored() == stored.model)
    }
    #expect(stored.reads == 0, "nothing is fetched for it")
  }

  @Test func whatWasFetchedToPublishStaysIfThereIsRoom() async throws {
    let stored = try await StoredFile(Self.small, memory: 0)
    try await stored.write([1], at: 1000)
    try await stored.file.publish(durable: false) {}
    let reads = stored.reads
    #expect(reads > 0)
    try await stored.write([2], at: 90_000)
    try await stored.file.publish(durable: true) {}
    #expect(try await stored.read() == stored.model)
    #expect(stored.reads == reads, "all of it is here")
    #expect(try await stored.stored() == stored.model)
  }

  @Test func aSpoolThatIsSmallerThanItsFileIsPublished() async throws {
    let stored = try await StoredFile(Self.large, memory: 0, disk: 1 << 20)
    for number in 0..<3 {
      try await stored.write([UInt8(number)], at: 1_000_000 * number)
      try await stored.file.publish(durable: true) {}
      #expect(try await stored.stored() == stored.model)
      #expect(stored.budget.bytesOnDisk <= 1 << 20)
    }
    let (holds, contents) = stored.files.state.withLock { ($0.holds.count, $0.contents.count) }
    #expect(holds == 1 && contents == 1, "only what it lies over is held")
  }

  @Test func whatCannotBeReadBelowFailsThePublishAndLosesNothing() async throws {
    let stored = try await StoredFile(Self.small, memory: 0)
    try await stored.write(Array(repeating: 9, count: 5000), at: 10_000)
    stored.files.set { $0.readRefusal = DFSError(.incomplete, "DFS2 and DFS3 are down") }
    let error = await #expect(throws: DFSError.self) {
      try await stored.file.publish(durable: true) {}
    }
    #expect(error?.code == .incomplete)
    #expect(error.map { "\($0)" }?.contains("DFS2 and DFS3 are down") == true)
    #expect(stored.file.isDirty && stored.file.lastFailure == error)
    #expect(try await stored.read(at: 10_000, count: 5000) == Array(repeating: 9, count: 5000))
    stored.files.set { $0.readRefusal = nil }
    try await stored.file.publish(durable: true) {}
    #expect(try await stored.stored() == stored.model)
  }

  /// Who keeps what was written does not wait for the rest for ever.
  @Test func fetchingTheRestEndsInTime() async throws {
    let stored = try await StoredFile(Self.large, memory: 0)
    try await stored.write([1], at: 2_000_000)
    let spool = try stored.file.spool()
    let missing = try #require(spool.missing)
    let error = await #expect(throws: DFSError.self) {
      try await stored.file.bring(missing, into: spool, until: .now)
    }
    #expect(error?.code == .timedOut && stored.reads == 0)
    try await stored.file.bring(missing, into: spool, until: .now + .seconds(60))
    #expect(spool.missing == nil)
    #expect(try spool.read(at: 0, count: 3_000_000) == stored.model)
  }

  /// A reader that was on its way to the version below when that was replaced and let go.
  @Test func aReadThatIsOvertakenByAPublishGoesOn() async throws {
    let stored = try await StoredFile(Self.large, memory: 0, disk: 1 << 20)
    try await stored.write([1], at: 0)
    stored.files.set { $0.readDelay = .milliseconds(100) }
    let file = stored.file
    let reading = Task { try await file.read(at: 1_500_000, count: 1000).flatMap { $0 } }
    try await eventually("the read is under way") {
      stored.files.state.withLock { $0.waitingReads > 0 }
    }
    stored.files.set { $0.readDelay = .zero }
    try await stored.file.publish(durable: true) {}
    #expect(try await reading.value == Array(stored.model[1_500_000..<1_501_000]))
  }
  /// Holes are never sent, however the file began and whatever is stored as layers.
  @Test(arguments: [true, false]) func aHugeHoleIsALayer(wasStoredEmpty: Bool) throws {
    let budget = SpoolBudget(
      directory: NSTemporaryDirectory(), diskLimit: 1 << 20, memoryPerFile: 1 << 20)
    let empty = Version(
      Content(
        id: .random(), size: 0, md5: .of([]), placement: Placement(md5: .of([])),
        partDigests: Array(repeating: BlockChecksum(0), count: 4)))
    for policy in LayerPolicy.allCases {
      let spool = Spool(budget: budget, over: wasStoredEmpty ? empty : nil)
      try spool.truncate(to: 1 << 50)
      guard case .layer(let patch) = try spool.form(policy) else {
        Issue.record("\(policy): all of it is stored")
        continue
      }
      #expect(patch.extents.isEmpty && patch.size == 1 << 50 && patch.cut == 0)
      #expect(spool.storedBytes == 0)
    }
  }
}
