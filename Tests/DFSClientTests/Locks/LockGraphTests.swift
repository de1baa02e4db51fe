import DFSCore
import Testing

@testable import DFSClient

@Suite struct LockGraphTests {
  private func party(_ client: UInt64, _ owner: UInt64 = 1) -> FileLocks.Party {
    FileLocks.Party(client: client, owner: FileLock.Owner(.ranges, owner))
  }

  private func graph(_ edges: [(UInt64, UInt64)]) -> LockGraph {
    var graph = LockGraph()
    for (from, to) in edges { graph.add(FileLocks.Edge(from: party(from), to: party(to))) }
    return graph
  }

  /// Of a circle the highest is told, whatever else it waits for.
  @Test func theHighestOfACircleIsTold() {
    let circle = graph([(1, 3), (3, 2), (2, 1), (3, 9), (4, 3)])
    #expect((1...4).filter { circle.closesCircle(at: party($0)) } == [3])
    #expect(!graph([(1, 3), (3, 2)]).closesCircle(at: party(3)))
    #expect(graph([(1, 3), (3, 2)]).adding(graph([(2, 1)])).closesCircle(at: party(3)))
  }

  /// What is told is what leads on, the nearest first.
  @Test func whatLeadsOnIsTold() {
    let known = graph([(1, 2), (2, 3), (3, 1), (7, 1)])
    let expected = [(1, 2), (2, 3), (3, 1)].map { FileLocks.Edge(from: party($0), to: party($1)) }
    #expect(known.reached(from: party(1), atMost: 32) == expected)
    #expect(known.reached(from: party(1), atMost: 2) == Array(expected.prefix(2)))
  }

  /// A row keeps what an owner of a lock told until it tells something else, or has no lock any more.
  @Test func aRowKeepsWhatItsHoldersTell() throws {
    let lock = FileLock(FileLock.Owner(.ranges, 1), 0...9, isExclusive: true)
    var row = LockRow()
    let edge = FileLocks.Edge(from: party(1), to: party(3))
    row.tell([edge], by: 1, lock.owner)
    #expect(row.told == nil, "it has no lock")
    row.list([lock], of: 1)
    row.note(lock, by: 2)
    #expect(row.edges == [FileLocks.Edge(from: party(2), to: party(1))])
    row.tell([edge], by: 1, lock.owner)
    row.tell([edge], by: 1, lock.owner)
    #expect(row.told(but: 2) == [edge] && row.told(but: 1).isEmpty)
    #expect(try LockRow(row.encoded()) == row)
    var next = row
    next.tell([], by: 1, lock.owner)
    #expect(next.told == nil)
    next = row
    next.list([], of: 1)
    #expect(next.told == nil)
    next = row
    next.remove(1)
    #expect(next.told == nil)
  }
}
