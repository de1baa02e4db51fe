internal import DFSCore
internal import DFSSystem
internal import Synchronization

/// Who waits for whom.
///
/// A client knows of the locks, and of who waits, on the files that it has to do with. So it sees a circle in which one
/// or two clients are. Who waits for longer while it holds locks of other files therefore tells those who wait for
/// these, in the rows of these, for whom it waits, and what it was told itself. So each client of a circle learns all
/// of it (R. Obermarck, Distributed Deadlock Detection Algorithm, ACM TODS 7(2), 1982).
extension FileLocks {
  /// An owner of a lock, of one client.
  struct Party: Codable, Hashable, Sendable {
    var client: UInt64
    var owner: FileLock.Owner
  }

  /// One waits for a lock of another.
  struct Edge: Codable, Hashable, Sendable {
    var from: Party
    var to: Party
  }

  /// What is known while an owner of this client waits.
  struct Wait {
    let owner: FileLock.Owner
    let began: ContinuousClock.Instant
    /// Since when there is a circle by what others told, which may have changed since.
    var suspected: ContinuousClock.Instant?
    /// What was told, in which rows; nothing where it is not known whether it was.
    var told: [InodeID: [Edge]] = [:]

    init(_ owner: FileLock.Owner, at time: ContinuousClock.Instant) {
      (self.owner, began) = (owner, time)
    }
  }

  /// Whether an owner of this client's waits, over other owners, for itself. Of the clients that are in the circle the
  /// one with the highest number tells its owner.
  func isDeadlocked(_ wait: inout Wait) async -> Bool {
    let start = Party(client: client, owner: wait.owner)
    let known = await edges(isTold: false)
    if known.closesCircle(at: start) { return true }
    let now = environment.now
    guard now - wait.began >= pace.look else { return false }
    let told = known.adding(await edges(isTold: true))
    await tell(told.reached(from: start, atMost: LockRow.edges), &wait)
    guard told.closesCircle(at: start) else {
      wait.suspected = nil
      return false
    }
    let since = wait.suspected ?? now
    wait.suspected = since
    return now - since >= pace.suspicion
  }

  /// - Parameter isTold: what others told of what they wait for elsewhere; or what is in the rows themselves.
  private func edges(isTold: Bool) async -> LockGraph {
    var graph = LockGraph()
    for (id, entry) in all {
      if !isTold {
        entry.state.withLock { state in
          for lock in state.waiting {
            for held in state.table.conflicts(with: lock) {
              graph.add(
                Edge(
                  from: Party(client: client, owner: lock.owner),
                  to: Party(client: client, owner: held.owner)))
            }
          }
        }
      }
      guard let row = try? await row(of: id, .pushed) else { continue }
      for edge in isTold ? row.told(but: client) : row.edges { graph.add(edge) }
    }
    return graph
  }

  /// Tells those who wait for locks that the owner of a wait has.
  private func tell(_ edges: [Edge], _ wait: inout Wait) async {
    let (client, owner) = (client, wait.owner)
    for (id, entry) in all {
      let isListed = entry.state.withLock { $0.standing == .listed && $0.table.holds(owner) }
      guard isListed, let row = try? await row(of: id, .pushed) else { continue }
      let isWanted = row.edges.contains { $0.to == Party(client: client, owner: owner) }
      let told = isWanted ? edges : []
      guard told != wait.told[id] ?? [] else { continue }
      let isTold = (try? await change(id) { $0.tell(told, by: client, owner) }) != nil
      wait.told[id] = isTold ? told : []
    }
  }

  /// What was told holds no longer.
  func endWait(_ wait: Wait) async {
    guard !wait.told.isEmpty else { return }
    await Self.uncancelled { [self] in
      for id in wait.told.keys.sorted(by: { $0.value < $1.value }) {
        try? await change(id) { $0.tell([], by: self.client, wait.owner) }
      }
    }
  }
}

/// Who waits for whom, as a value.
struct LockGraph {
  private var edges: [FileLocks.Party: Set<FileLocks.Party>] = [:]

  mutating func add(_ edge: FileLocks.Edge) { edges[edge.from, default: []].insert(edge.to) }

  func adding(_ other: LockGraph) -> LockGraph {
    var both = self
    both.edges.merge(other.edges) { $0.union($1) }
    return both
  }

  /// Whether a party waits for itself, over others of which none has a client with a higher number.
  func closesCircle(at start: FileLocks.Party) -> Bool {
    var seen: Set<FileLocks.Party> = []
    var next = [start]
    while let party = next.popLast() {
      for other in edges[party] ?? [] {
        if other == start { return true }
        if other.client <= start.client, seen.insert(other).inserted { next.append(other) }
      }
    }
    return false
  }

  /// The edges that lead on from a party, the nearest first.
  func reached(from start: FileLocks.Party, atMost limit: Int) -> [FileLocks.Edge] {
    var found: [FileLocks.Edge] = []
    var seen: Set<FileLocks.Party> = [start]
    var next = [start][...]
    while let party = next.popFirst() {
      for other in (edges[party] ?? []).sorted() {
        guard found.count < limit else { return found }
        found.append(FileLocks.Edge(from: party, to: other))
        if seen.insert(other).inserted { next.append(other) }
      }
    }
    return found
  }
}

extension FileLocks.Party: Comparable {
  static func < (one: Self, other: Self) -> Bool {
    (one.client, one.owner.family.rawValue, one.owner.number)
      < (other.client, other.owner.family.rawValue, other.owner.number)
  }
}
