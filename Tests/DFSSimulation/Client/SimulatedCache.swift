internal import DFSCore

/// A client's rows, kept valid by what servers push, and its sessions with the servers: the rules
/// that DFSClient follows, over a network that may lose and reorder. A push counts when all pushes
/// before it have come; an answer counts when all pushes before it have come.
///
/// Invariant: a row is here only if it was the truth when it was read, and no push has named it and
/// no session ended since that question was asked.
struct SimulatedCache {
  private struct Session {
    let id: Int
    var received = 0
    var early: [Int: SimulatedPush] = [:]
    var waiting: [(pushes: Int, action: () -> Void)] = []
  }

  /// A moment, to know afterwards what changed since.
  struct Stamp {
    fileprivate let epoch: Int
    fileprivate let evictions: Int
  }

  private var sessions: [Session?] = Array(repeating: nil, count: Limits.serverCount)
  /// Pushes that came before the answer that opened their session.
  private var orphans: [Int: [Int: SimulatedPush]] = [:]
  private var rows: [RowKey: Row?] = [:]
  /// Goes up when all rows are dropped.
  private var epoch = 0
  private var evictions = 0
  private var evicted: [RowKey: Int] = [:]

  func session(_ server: ServerIndex) -> Int? { sessions[server.value]?.id }

  var stamp: Stamp { Stamp(epoch: epoch, evictions: evictions) }

  func isUnbroken(since stamp: Stamp) -> Bool { stamp.epoch == epoch }

  mutating func opened(_ id: Int, with server: ServerIndex) {
    drop()
    sessions[server.value] = Session(id: id, early: orphans.removeValue(forKey: id) ?? [:])
    receive(server)
  }

  mutating func closed(_ server: ServerIndex) {
    drop()
    sessions[server.value] = nil
  }

  private mutating func drop() {
    epoch += 1
    rows = [:]
  }

  // MARK: Pushes

  /// - Returns: what waited for it.
  mutating func pushed(
    _ keys: SimulatedPush, number: Int, session: Int, server: ServerIndex
  ) -> [() -> Void] {
    guard sessions[server.value]?.id == session else {
      orphans[session, default: [:]][number] = keys
      return []
    }
    sessions[server.value]?.early[number] = keys
    receive(server)
    let received = sessions[server.value]?.received ?? 0
    let waiting = sessions[server.value]?.waiting ?? []
    sessions[server.value]?.waiting = waiting.filter { $0.pushes > received }
    return waiting.filter { $0.pushes <= received }.map(\.action)
  }

  private mutating func receive(_ server: ServerIndex) {
    guard var session = sessions[server.value] else { return }
    while let keys = session.early.removeValue(forKey: session.received) {
      session.received += 1
      if let keys { evict(keys) } else { drop() }
    }
    sessions[server.value] = session
  }

  private mutating func evict(_ keys: [RowKey]) {
    for key in keys {
      evictions += 1
      evicted[key] = evictions
      rows[key] = nil
    }
  }

  /// Performs `action` when the first `pushes` pushes of the session have come: now, later or never.
  mutating func wait(
    for pushes: Int, from server: ServerIndex, session: Int, _ action: @escaping () -> Void
  ) -> Bool {
    guard let open = sessions[server.value], open.id == session else { return false }
    if open.received >= pushes { return true }
    sessions[server.value]?.waiting.append((pushes, action))
    return false
  }

  // MARK: Rows

  /// Keeps rows that were the truth, unless something happened to them since `stamp`.
  mutating func keep(
    _ truth: [RowKey: Row], of keys: [RowKey], since stamp: Stamp, ignoringPushes: Bool
  ) {
    guard stamp.epoch == epoch else { return }
    for key in keys where ignoringPushes || evicted[key, default: 0] <= stamp.evictions {
      rows[key] = .some(truth[key])
    }
  }

  /// All of `keys`, if all are here; a key maps to no row where there is none.
  func rows(_ keys: [RowKey]) -> [RowKey: Row]? {
    var found: [RowKey: Row] = [:]
    for key in keys {
      guard let row = rows[key] else { return nil }
      found[key] = row
    }
    return found
  }
}
