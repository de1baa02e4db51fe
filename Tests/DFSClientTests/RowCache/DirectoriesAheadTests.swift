import DFSCore
import Testing

@testable import DFSClient

/// When a directory is asked for as a whole.
@Suite struct DirectoriesAheadTests {
  private let directory = InodeID(500)
  private let start = ContinuousClock.now

  /// Asks for names one after the other; what each asked for besides.
  private func pages(
    _ names: [String], _ ahead: inout DirectoriesAhead, exists: Bool = true,
    every interval: Duration = .milliseconds(1)
  ) throws -> [Query?] {
    try names.enumerated().map { index, name in
      let query = ahead.missed(
        directory, try FileName(name), at: start + interval * index)
      ahead.answered(directory, exists: exists)
      return query
    }
  }

  @Test func theThirdNameAsksForAll() throws {
    var ahead = DirectoriesAhead()
    let all = Query.directory(directory, after: nil)
    #expect(try pages(["b", "a", "c"], &ahead) == [nil, nil, all])
  }

  @Test func namesThatAreNotThereDoNotCount() throws {
    var ahead = DirectoriesAhead()
    let found = try pages((0..<50).map { "new\($0)" }, &ahead, exists: false)
    #expect(found.allSatisfy { $0 == nil })
  }

  @Test func namesOfLongAgoDoNotCount() throws {
    var ahead = DirectoriesAhead()
    let names = (0..<50).map { "f\($0)" }
    #expect(try pages(names, &ahead, every: .seconds(2)).allSatisfy { $0 == nil })
  }

  /// Of a directory of many pages only what follows is asked for, where it is gone through in order.
  @Test func aLargeDirectoryIsGoneThroughInOrder() throws {
    var ahead = DirectoriesAhead()
    _ = try pages(["a"], &ahead)
    ahead.isLarge(directory)
    let names = try ["b", "c", "d", "e"].map { try FileName($0) }
    #expect(
      try pages(names.map(\.text), &ahead)
        == [
          nil, .directory(directory, after: names[1]), nil, .directory(directory, after: names[3]),
        ])
    let down = try pages(["z", "y", "x", "w", "v"], &ahead)
    #expect(down.allSatisfy { $0 == nil })
  }

  @Test func itRemembersNoMoreThanItsLimit() throws {
    var ahead = DirectoriesAhead()
    for id in 0..<UInt64(10 * DirectoriesAhead.directoriesLimit) {
      _ = ahead.missed(InodeID(id), try FileName("a"), at: start + .milliseconds(Int(id)))
    }
    #expect(ahead.count == DirectoriesAhead.directoriesLimit)
  }
}
