internal import DFSCore

/// What the sessions of a server have under way, in memory: versions held open, copies that no row
/// asks for yet, copies that somebody is about to bring. The rules of DFSStore's Sessions.
struct SimulatedSessions {
  private struct Unclaimed {
    /// Those that uploaded it, and when their connections are closed as idle.
    var sessions: [Int: Int] = [:]
    var completed: Int
  }

  private var holds: [Int: Set<VersionID>] = [:]
  private var unclaimed: [PartID: Unclaimed] = [:]
  private var claims: [PartID: (session: Int, until: Int)] = [:]
  /// When the last change was accepted; 0 if none was since the start.
  var lastAppend = 0
  var lastSweep: Int?

  // MARK: Copies that no row asks for

  mutating func completed(_ session: Int, _ id: PartID, now: Int, idle: Int) {
    claims[id] = nil
    var entry = unclaimed[id] ?? Unclaimed(completed: now)
    entry.sessions[session] = now + idle
    entry.completed = now
    unclaimed[id] = entry
  }

  mutating func asked(_ ids: some Sequence<PartID>) { for id in ids { unclaimed[id] = nil } }

  func unclaimed(completedBefore limit: Int) -> [PartID] {
    unclaimed.filter { $1.completed <= limit }.keys.inOrder
  }

  /// - Returns: whether it may go.
  mutating func forgetOrphan(_ id: PartID, now: Int) -> Bool {
    guard unclaimed[id]?.sessions.allSatisfy({ $0.value < now }) ?? true else { return false }
    unclaimed[id] = nil
    return true
  }

  // MARK: Claims and holds

  mutating func claim(_ session: Int, _ ids: [PartID], until: Int) {
    for id in ids { claims[id] = (session, until) }
  }

  mutating func claimed(now: Int) -> Set<PartID> {
    claims = claims.filter { $0.value.until > now }
    return Set(claims.keys)
  }

  mutating func hold(_ session: Int, _ version: VersionID) {
    holds[session, default: []].insert(version)
  }

  mutating func release(_ session: Int, _ version: VersionID) { holds[session]?.remove(version) }

  var held: Set<VersionID> { holds.values.reduce(into: []) { $0.formUnion($1) } }

  mutating func end(_ session: Int) {
    holds[session] = nil
    for id in unclaimed.keys { unclaimed[id]?.sessions[session] = nil }
    claims = claims.filter { $0.value.session != session }
  }
}
