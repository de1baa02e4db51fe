import DFSCore
import Testing

@testable import DFSClient

/// When a directory is asked for as a whole.
@Suite struct DirectoriesAheadTests {
  private let directory = InodeID(500)
  private let start = ContinuousClock.now

  /// Asks for names one after the other; what each asks for.
  private func questions(
    _ names: [String], _ ahead: inout DirectoriesAhead, exists: Bool = true,
    every interval: Duration = .milliseconds(1)
  ) throws -> [DirectoriesAhead.Question] {
    try names.enumerated().map { index, name in
      let question = ahead.missed(
        directory, try FileName(name), at: start + interval * index)
      ahead.answered(directory, exists: exists)
      return question
    }
  }

  @Test func theThirdNameAsksForAll() throws {
    var ahead = DirectoriesAhead()
    #expect(try questions(["b", "a", "c"], &ahead) == [.name, .name, .whole])
  }

  @Test func namesThatAreNotThereDoNotCount() throws {
    var ahead = DirectoriesAhead()
    let found = try questions((0..<50).map { "new\($0)" }, &ahead, exists: false)
    #expect(found.allSatisfy { $0 == .name })
  }

  @Test func namesOfLongAgoDoNotCount() throws {
    var ahead = DirectoriesAhead()
    let names = (0..<50).map { "f\($0)" }
    #expect(try questions(names, &ahead, every: .seconds(2)).allSatisfy { $0 == .name })
  }

  /// Of a directory of many pages only what follows is asked for, where it is gone through in order.
  @Test func aLargeDirectoryIsGoneThroughInOrder() throws {
    var ahead = DirectoriesAhead()
    _ = try questions(["a"], &ahead)
    ahead.isLarge(directory)
    let up = try questions(["b", "c", "d", "e"], &ahead)
    #expect(up == [.name, .following, .name, .following])
    let down = try questions(["z", "y", "x", "w", "v"], &ahead)
    #expect(down.allSatisfy { $0 == .name })
  }

  @Test func itRemembersNoMoreThanItsLimit() throws {
    var ahead = DirectoriesAhead()
    for id in 0..<UInt64(10 * DirectoriesAhead.directoriesLimit) {
      _ = ahead.missed(InodeID(id), try FileName("a"), at: start + .milliseconds(Int(id)))
    }
    #expect(ahead.count == DirectoriesAhead.directoriesLimit)
  }
}
