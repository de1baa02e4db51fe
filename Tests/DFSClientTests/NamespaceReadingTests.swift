import DFSCore
import DFSReplication
import DFSWire
import Synchronization
import Testing

@testable import DFSClient

@Suite struct NamespaceReadingTests {
  private func head(_ number: UInt64) -> Head {
    Head(view: View(round: 3, client: ClientID(7)), number: number, digest: .empty)
  }

  /// A server that lagged gave rows that nothing can prove any more; what was asked for later was not
  /// waited for.
  @Test func rowsOfALaggardAreNotTheEndOfARead() async throws {
    let requests = SlowRows()
    let servers = NamespaceServers(requests: requests, cache: RowCache(bound: 100))
    var reading = NamespaceReading(
      servers: servers, queries: [.inode(.root)], hedge: .seconds(10))
    requests.set(rows: head(6), others: head(7))
    guard case .unsettled = await reading.attempt() else {
      Issue.record("rows that three servers have moved on from are no truth")
      return
    }
    requests.set(rows: head(7), others: head(7))
    guard case .truth(let rows) = await reading.attempt() else {
      Issue.record("all servers agree")
      return
    }
    #expect(rows.head == head(7))
  }
}

/// Four servers that tell their heads before anybody gets rows.
private final class SlowRows: ServerRequests {
  private let heads = Mutex((rows: Head.blank, others: Head.blank))
  private let pings = Mutex(0)

  func set(rows: Head, others: Head) {
    pings.withLock { $0 = 0 }
    heads.withLock { $0 = (rows, others) }
  }

  var reachable: ServerSet { .all }
  func states() -> [ServerState] { [] }
  func reconnect() async {}

  func ask(
    _ server: ServerIndex, _ request: Request, timeout: Duration
  ) async throws(DFSError) -> Reply {
    let heads = heads.withLock { $0 }
    guard case .query(let queries) = request else {
      pings.withLock { $0 += 1 }
      return .pong(heads.others)
    }
    while pings.withLock({ $0 }) < Limits.quorum { await Task.yield() }
    // The heads are on their way to the reader; it hears of them one after the other.
    try? await Task.sleep(for: .milliseconds(20))
    let answer = QueryAnswer(rows: [], isPartial: false)
    return .query(queries.map { _ in answer }, head: heads.rows)
  }
}
