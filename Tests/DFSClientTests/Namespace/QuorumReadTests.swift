import DFSCore
import DFSReplication
import DFSWire
import Synchronization
import Testing

@testable import DFSClient

/// How many servers a read asks, and whom.
@Suite struct QuorumReadTests {
  private func head(_ number: UInt64) -> Head {
    Head(view: View(round: 1, client: ClientID(1)), number: number, digest: .empty)
  }

  private func read(_ servers: ServerPool) async -> QuorumRead.Rows? {
    var reading = QuorumRead(servers: servers, queries: [.inode(.root)], hedge: .seconds(100))
    // The first source may be the one that is behind.
    for _ in 0..<2 {
      if case .truth(let rows) = await reading.attempt() { return rows }
    }
    return nil
  }

  @Test func threeServersAreAskedAsLongAsTheyProveIt() async throws {
    let requests = CountedServers(head(7))
    let servers = ServerPool(requests: requests, cache: RowCache(limit: 100))
    for count in 1...8 {
      #expect(await read(servers)?.head == head(7))
      #expect(requests.asked.count == 3 * count)
    }
    #expect(Set(requests.asked).count == Limits.serverCount, "all in turn")
    #expect(await FreshnessCheck(servers: servers).confirm())
    #expect(requests.asked.count == 27)
  }

  @Test func theFourthIsAskedWhereOneIsBehind() async throws {
    let requests = CountedServers(head(7))
    let servers = ServerPool(requests: requests, cache: RowCache(limit: 100))
    requests.set(ServerIndex(1), .tells(head(6)))
    for _ in 0..<8 { #expect(await read(servers)?.head == head(7)) }
  }

  /// It is waited for once, for a moment: then the others come first, until it answers again.
  @Test func aSilentServerComesLast() async throws {
    let requests = CountedServers(head(7))
    let servers = ServerPool(requests: requests, cache: RowCache(limit: 100))
    requests.set(ServerIndex(2), .silent)
    let freshness = FreshnessCheck(servers: servers)
    for _ in 0..<4 { #expect(await freshness.confirm()) }
    let before = requests.asked.count { $0 == ServerIndex(2) }
    for _ in 0..<20 {
      #expect(await freshness.confirm())
      #expect(await read(servers)?.head == head(7))
    }
    #expect(requests.asked.count { $0 == ServerIndex(2) } == before)
    #expect(servers.byPreference(.all).last == ServerIndex(2))
  }
}

/// Heads that come with something else need not be asked for.
@Suite struct AskedHeadsTests {
  private let head = Head(view: View(round: 1, client: ClientID(1)), number: 7, digest: .empty)

  private func asked(_ servers: [Int]) -> AskedHeads {
    let asked = AskedHeads()
    asked.expect(servers.map { ServerIndex($0) })
    return asked
  }

  private func check() -> (requests: CountedServers, freshness: FreshnessCheck) {
    let requests = CountedServers(head)
    let servers = ServerPool(requests: requests, cache: RowCache(limit: 100))
    return (requests, FreshnessCheck(servers: servers))
  }

  @Test func onlyTheThirdIsAsked() async {
    let (requests, freshness) = check()
    let asked = asked([1, 3])
    asked.told(head, by: ServerIndex(3))
    async let isCurrent = freshness.confirm(asked)
    asked.told(head, by: ServerIndex(1))
    #expect(await isCurrent)
    #expect(requests.asked.count == 1)
    #expect(Set(requests.asked).isDisjoint(with: [ServerIndex(1), ServerIndex(3)]))
  }

  /// They prove nothing of what comes after the first check.
  @Test func theyServeOneCheck() async {
    let (requests, freshness) = check()
    let asked = asked([0, 1, 2])
    for server in 0..<3 { asked.told(head, by: ServerIndex(server)) }
    #expect(await freshness.confirm(asked))
    #expect(requests.asked.isEmpty)
    #expect(await freshness.confirm(asked))
    #expect(requests.asked.count == 3)
  }

  @Test(arguments: [true, false]) func theFourthIsAskedForOneThatTellsNone(isSilent: Bool) async {
    let (requests, freshness) = check()
    let asked = asked([0, 1])
    asked.told(head, by: ServerIndex(0))
    if !isSilent { asked.told(nil, by: ServerIndex(1)) }
    #expect(await freshness.confirm(asked))
    #expect(Set(requests.asked) == [ServerIndex(2), ServerIndex(3)])
  }

  @Test func twoAreNotEnough() async {
    let (requests, freshness) = check()
    for server in [2, 3] { requests.set(ServerIndex(server), .fails) }
    let asked = asked([0, 1])
    for server in 0..<2 { asked.told(head, by: ServerIndex(server)) }
    #expect(await !freshness.confirm(asked))
  }
}

/// Four servers that answer all questions with a head, or do not.
private final class CountedServers: ServerRequests {
  enum Behaviour: Sendable {
    case tells(Head)
    case silent
    case fails
  }

  private let behaviours: Mutex<[Behaviour]>
  private let log = Mutex<[ServerIndex]>([])

  init(_ head: Head) {
    behaviours = Mutex(Array(repeating: .tells(head), count: Limits.serverCount))
  }

  func set(_ server: ServerIndex, _ behaviour: Behaviour) {
    behaviours.withLock { $0[server.value] = behaviour }
  }

  /// Whom was asked something, in order.
  var asked: [ServerIndex] { log.withLock { $0 } }
  var reachable: ServerSet { .all }
  func states() -> [ServerState] { [] }

  func exchange(
    _ server: ServerIndex, _ request: Request, timeout: Duration
  ) async throws(DFSError) -> Reply {
    log.withLock { $0.append(server) }
    let head: Head
    switch behaviours.withLock({ $0[server.value] }) {
    case .tells(let told): head = told
    case .silent:
      try? await Task.sleep(for: .seconds(100))
      throw DFSError(.timedOut, "no answer")
    case .fails: throw DFSError(.disconnected, "it is away")
    }
    guard case .query(let asked) = request else { return Reply.Pong(head).reply }
    let answer = QueryAnswer(rows: [], isPartial: false)
    return Reply.Answers(asked.queries.map { _ in answer }, head: head).reply
  }
}
