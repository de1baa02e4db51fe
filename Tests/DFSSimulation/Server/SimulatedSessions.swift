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
  /// The latest hold or release of a version in a session: a connection delivers in order, and once.
  private var lastOrders: [Int: [VersionID: Int]] = [:]
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

  /// - Returns: whether the message is not a late or doubled one.
  mutating func isInOrder(_ session: Int, _ version: VersionID, _ order: Int) -> Bool {
    guard order > lastOrders[session]?[version] ?? 0 else { return false }
    lastOrders[session, default: [:]][version] = order
    return true
  }

  mutating func hold(_ session: Int, _ version: VersionID) {
    holds[session, default: []].insert(version)
  }

  mutating func release(_ session: Int, _ version: VersionID) { holds[session]?.remove(version) }

  var held: Set<VersionID> { holds.values.reduce(into: []) { $0.formUnion($1) } }

  mutating func end(_ session: Int) {
    lastOrders[session] = nil
    holds[session] = nil
    for id in unclaimed.keys { unclaimed[id]?.sessions[session] = nil }
    claims = claims.filter { $0.value.session != session }
  }
}
