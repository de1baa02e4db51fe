import DFSCore
import DFSStoreFixtures
import Foundation
import Testing

@testable import DFSStore

/// Damage of each kind, at every place: what is served equals what was written, or nothing is.
@Suite struct DatabaseDamageTests {
  private static let database = "namespace.sqlite"

  /// Offsets from a seed, so that a failure can be seen again.
  private struct Places {
    var state: UInt64

    mutating func next(below limit: Int) -> Int {
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      return Int((state >> 33) % UInt64(limit))
    }
  }

  /// `scripts/test --all` tries more places.
  private static let isThorough = ProcessInfo.processInfo.environment["DFS_TEST_LARGE"] == "1"

  @Test func aFlippedByteInEveryPageOfAClosedDatabase() async throws {
    let database = try await DamagedDatabase(.closed)
    let length = try database.length(Self.database)
    var places = Places(state: 42)
    var tally: [DamagedDatabase.Outcome: Int] = [:]
    let rounds = Self.isThorough ? 3 : 1
    for round in 0..<rounds {
      for page in 0..<length / DamagedDatabase.pageBytes {
        // Headers of pages and of the file are at the front.
        let place = places.next(below: round == 0 ? 100 : DamagedDatabase.pageBytes)
        let offset = page * DamagedDatabase.pageBytes + place
        let bit = UInt8(1) << UInt8(places.next(below: 8))
        let outcome = try await database.outcome {
          try DamagedDatabase.flip("\($0)/\(Self.database)", at: offset, bit: bit)
        }
        tally[outcome, default: 0] += 1
        if case .wrong(let what) = outcome { Issue.record("byte \(offset) bit \(bit): \(what)") }
      }
    }
    #expect(tally[.refused, default: 0] > 10 * rounds, "\(tally)")
  }

  @Test func aZeroedPageAndATruncatedFile() async throws {
    let database = try await DamagedDatabase(.closed)
    let pages = try database.length(Self.database) / DamagedDatabase.pageBytes
    for page in 0..<pages {
      let offset = page * DamagedDatabase.pageBytes
      let zeroed = try await database.outcome {
        try DamagedDatabase.zero(
          "\($0)/\(Self.database)", at: offset, count: DamagedDatabase.pageBytes)
      }
      #expect(zeroed == .refused || zeroed == .lackedCopies, "page \(page) zeroed: \(zeroed)")
      let cut = try await database.outcome {
        try DamagedDatabase.truncate("\($0)/\(Self.database)", to: offset + page % 2 * 100)
      }
      #expect(cut == .refused, "cut at page \(page): \(cut)")
    }
  }

  @Test func flippedBytesInFramesOfTheLog() async throws {
    let database = try await DamagedDatabase(.killed)
    #expect(try await database.outcome { _ in } == .same)
    let log = Self.database + "-wal"
    let frame = DamagedDatabase.pageBytes + 24
    let frames = (try database.length(log) - 32) / frame
    var places = Places(state: 43)
    var refused = 0
    let tried = Array(stride(from: 0, to: frames, by: Self.isThorough ? 1 : 5))
    for number in tried {
      // Every fourth in the header of the frame.
      let place = places.next(below: number.isMultiple(of: 4) ? 24 : frame)
      let offset = 32 + number * frame + place
      let outcome = try await database.outcome {
        try DamagedDatabase.flip("\($0)/\(log)", at: offset, bit: 4)
      }
      if outcome == .refused { refused += 1 }
      #expect(outcome == .refused || outcome == .same, "frame \(number), byte \(place): \(outcome)")
    }
    #expect(refused > tried.count / 2, "\(refused) of \(tried.count)")
    for offset in stride(from: 0, to: 32, by: Self.isThorough ? 1 : 3) {
      let outcome = try await database.outcome {
        try DamagedDatabase.flip("\($0)/\(log)", at: offset, bit: 1)
      }
      #expect(outcome == .refused, "byte \(offset) of the header: \(outcome)")
    }
  }

  @Test func aLogThatIsCutOffOrGone() async throws {
    let database = try await DamagedDatabase(.killed)
    let log = Self.database + "-wal"
    let length = try database.length(log)
    let frame = DamagedDatabase.pageBytes + 24
    for cut in [0, 10, 32, 32 + frame, length / 2, length - frame, length - 1] {
      let outcome = try await database.outcome {
        try DamagedDatabase.truncate("\($0)/\(log)", to: cut)
      }
      #expect(outcome == .refused, "cut to \(cut) of \(length): \(outcome)")
    }
    for name in [log, Self.database, Self.database + "-shm", DatabaseMark.fileName] {
      let outcome = try await database.outcome {
        try FileManager.default.removeItem(atPath: "\($0)/\(name)")
      }
      #expect(outcome == .refused, "\(name) is gone: \(outcome)")
    }
  }

  /// Whoever opens a log as the first empties the shared memory; one that is killed then, as often as
  /// it may be, does no harm to the next.
  @Test func killedWhileOpeningAgain() async throws {
    let database = try await DamagedDatabase(.killed)
    let log = Self.database + "-wal"
    func killedOpening(_ directory: String) throws {
      _ = try DatabaseExamination.examine(directory)
      try Data(count: 3).write(to: URL(fileURLWithPath: "\(directory)/\(Self.database)-shm"))
    }
    let twice = try await database.outcome {
      try killedOpening($0)
      try killedOpening($0)
    }
    #expect(twice == .same)
    let length = try database.length(log)
    let cut = try await database.outcome {
      try killedOpening($0)
      try DamagedDatabase.truncate("\($0)/\(log)", to: length - 1)
    }
    #expect(cut == .refused)
  }

  @Test func aMarkOrAClosedDatabaseThatIsGone() async throws {
    let database = try await DamagedDatabase(.closed)
    for name in [Self.database, DatabaseMark.fileName] {
      let outcome = try await database.outcome {
        try FileManager.default.removeItem(atPath: "\($0)/\(name)")
      }
      #expect(outcome == .refused, "\(name) is gone: \(outcome)")
    }
    for offset in 0..<(try database.length(DatabaseMark.fileName)) {
      let outcome = try await database.outcome {
        try DamagedDatabase.flip("\($0)/\(DatabaseMark.fileName)", at: offset, bit: 2)
      }
      #expect(outcome == .refused, "byte \(offset) of the mark: \(outcome)")
    }
    // An empty log is what a clean end leaves; it needs none.
    let outcome = try await database.outcome {
      try Data().write(to: URL(fileURLWithPath: "\($0)/\(Self.database)-wal"))
    }
    #expect(outcome == .same)
  }

  /// After a loss of power the log may end early, and the shared memory is of no use; but a log that
  /// is not there at all is no end of one.
  @Test func afterALossOfPower() async throws {
    let database = try await DamagedDatabase(.killed)
    let log = Self.database + "-wal"
    func powerLoss(_ directory: String) throws {
      try DatabaseMark.open(boot: "another", extent: nil).write(directory)
      try FileManager.default.removeItem(atPath: "\(directory)/\(Self.database)-shm")
    }
    #expect(try await database.outcome { try powerLoss($0) } == .same)
    let gone = try await database.outcome {
      try powerLoss($0)
      try DamagedDatabase.truncate("\($0)/\(log)", to: 0)
    }
    #expect(gone == .refused)
    let length = try database.length(log)
    let cut = try await database.outcome {
      try powerLoss($0)
      try DamagedDatabase.truncate("\($0)/\(log)", to: length - 5000)
    }
    guard case .wrong = cut else {
      Issue.record("the last changes, which were not durable, are gone: \(cut)")
      return
    }
  }
}
