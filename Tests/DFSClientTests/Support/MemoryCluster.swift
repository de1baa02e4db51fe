import DFSConfiguration
import DFSCore
import DFSReplication
import DFSWire
import Logging
import Synchronization

@testable import DFSClient

/// Four servers in memory, and clients of them.
struct MemoryCluster {
  let servers = ServerIndex.all.map { _ in MemoryServer() }

  func client(_ change: (inout Namespace.Settings) -> Void = { _ in }) -> MemoryClient {
    var settings = Namespace.Settings()
    (settings.callTimeout, settings.hedge) = (.seconds(10), .milliseconds(100))
    change(&settings)
    return MemoryClient(servers, settings)
  }

  subscript(number: Int) -> MemoryServer { servers[number - 1] }
}

/// A client with its four connections, which can be cut, frozen and made to lose messages.
final class MemoryClient: ServerRequests {
  struct Faults: Sendable {
    var down: ServerSet = []
    /// The connection stays, nothing is answered.
    var frozen: ServerSet = []
    /// How often a question, and how often an answer is lost with its connection, of 1,000.
    var lossPerThousand = 0
    var delayMicroseconds = 0
  }

  private let servers: [MemoryServer]
  private let faults = Mutex(Faults())
  private let id = ClientID.random()
  private let cache = RowCache(limit: 10_000)
  private let settings: Namespace.Settings
  private let count = Mutex(0)
  private let queries = Mutex(0)

  init(_ servers: [MemoryServer], _ settings: Namespace.Settings) {
    self.servers = servers
    self.settings = settings
    for server in ServerIndex.all { connect(server) }
  }

  func namespace() -> Namespace {
    Namespace(
      client: id, requests: self, cache: cache, settings: settings,
      logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
  }

  /// Queries asked so far, each of a message counted.
  var rowsAsked: Int { queries.withLock { $0 } }
  /// Questions asked so far.
  var asked: Int { count.withLock { $0 } }

  func set(_ change: (inout Faults) -> Void) {
    let (before, after) = faults.withLock { faults in
      let before = faults.down
      change(&faults)
      return (before, faults.down)
    }
    for server in after.subtracting(before).servers { disconnect(server) }
    for server in before.subtracting(after).servers { connect(server) }
  }

  private func connect(_ server: ServerIndex) {
    cache.connected(server)
    servers[server.value].watch(id) { [cache] keys, head in
      cache.pushed(keys, head: head, by: server)
    }
  }

  private func disconnect(_ server: ServerIndex) {
    servers[server.value].watch(id, nil)
    cache.disconnected(server)
  }

  // MARK: ServerRequests

  var reachable: ServerSet {
    ServerSet.all.subtracting(faults.withLock { $0.down.union($0.frozen) })
  }

  func states() -> [ServerState] {
    ServerIndex.all.map {
      ServerState(
        server: $0, address: ServerAddress(name: "\($0)", host: "memory", port: 1),
        isUp: reachable.contains($0),
        problem: reachable.contains($0) ? nil : DFSError(.disconnected, "connection refused"))
    }
  }

  func exchange(
    _ server: ServerIndex, _ request: Request, timeout: Duration
  ) async throws(DFSError) -> Reply {
    note(request)
    return try await answer(server, request, timeout)
  }

  /// Counts at once, not when its task begins.
  func exchange(
    _ server: ServerIndex, _ request: Request, timeout: Duration,
    _ answer: @escaping @Sendable (Result<Reply, DFSError>) -> Void
  ) {
    note(request)
    Task {
      do throws(DFSError) {
        answer(.success(try await self.answer(server, request, timeout)))
      } catch {
        answer(.failure(error))
      }
    }
  }

  private func note(_ request: Request) {
    count.withLock { $0 += 1 }
    if case .query(let asked) = request { queries.withLock { $0 += asked.queries.count } }
  }

  private func answer(
    _ server: ServerIndex, _ request: Request, _ timeout: Duration
  ) async throws(DFSError) -> Reply {
    let faults = faults.withLock { $0 }
    if faults.down.contains(server) { throw DFSError(.disconnected, "connection refused") }
    if faults.frozen.contains(server) {
      try? await Task.sleep(for: timeout)
      throw DFSError(.timedOut, "no answer within \(timeout)")
    }
    await pause(faults)
    try loseSometimes(faults, server)
    let reply = servers[server.value].handle(request, from: id)
    await pause(faults)
    try loseSometimes(faults, server)
    return reply
  }

  private func pause(_ faults: Faults) async {
    guard faults.delayMicroseconds > 0 else { return }
    try? await Task.sleep(for: .microseconds(Int.random(in: 0...faults.delayMicroseconds)))
  }

  private func loseSometimes(_ faults: Faults, _ server: ServerIndex) throws(DFSError) {
    guard Int.random(in: 0..<1000) < faults.lossPerThousand else { return }
    disconnect(server)
    connect(server)
    throw DFSError(.disconnected, "the connection was lost")
  }
}

func create(
  _ namespace: Namespace, _ name: String, _ kind: FileKind = .regular,
  in parent: InodeID = .root
) async throws -> Inode {
  let name = try FileName(name)
  let new = NewInode(kind: kind, mode: 0o644, owner: 0, group: 0)
  return try await namespace.transact { try await $0.create(parent, name, new) }
}

func names(
  _ namespace: Namespace, _ directory: InodeID = .root
) async throws -> [String] {
  try await namespace.list(directory, .current).map(\.name.description)
}
