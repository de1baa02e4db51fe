package import DFSCore
internal import DFSReplication
internal import DFSSystem
internal import Synchronization

/// The rows that this client knows, and until when they are true.
///
/// Servers push what other clients write, before they tell the head that has it. The *floor* is the
/// highest head that any server told or pushed, or that this client appended.
///
/// Invariants:
/// - Every row kept is what it is at the floor, as far as that is committed: it was the truth at some
///   head, and every change up to the floor that wrote it was pushed to us (which removed it) or made
///   by us (which replaced it).
/// - What a change of ours writes is not known from `begin` until the `PendingChange` ends.
/// - A row read at a head below the floor is not kept: a push may have overtaken the answer.
/// - The first head that a server tells on a connection, if it is above the floor, drops everything:
///   what led there was not pushed to us. So does the loss of a connection.
package final class RowCache: Sendable {
  fileprivate struct State {
    var table: RowCacheTable
    var floor = Head.blank
    var connected: ServerSet = []
    /// Servers that told a head on the connection they have now.
    var told: ServerSet = []
    /// How many connections each server had; tells an answer of an earlier one.
    var generations = [UInt64](repeating: 0, count: Limits.serverCount)
    /// How often something came from others: a push, or a connection that began or ended.
    var foreign: UInt64 = 0
    /// How often anything changed, by whomever.
    var changes: UInt64 = 0
    /// Those who wait for the end of the change under way.
    var waiters: [UInt64: @Sendable (inout State) -> Void] = [:]
    var nextWaiter: UInt64 = 0
    var rounds = Rounds()
  }

  private let state: Mutex<State>

  package init(limit: Int) { state = Mutex(State(table: RowCacheTable(limit: limit))) }

  // MARK: What servers say; called in the order of each connection

  package func connected(_ server: ServerIndex) {
    state.withLock {
      $0.connected.insert(server)
      $0.renew(server)
    }
  }

  package func disconnected(_ server: ServerIndex) {
    state.withLock {
      $0.connected.remove(server)
      $0.renew(server)
    }
  }

  /// Rows were written by another client; nil: any may have been.
  package func pushed(_ keys: [RowKey]?, head: Head, by server: ServerIndex) {
    state.withLock {
      $0.rise(to: head, toldBy: server, generation: $0.generations[server.value])
      $0.disturb()
      guard let keys else { return $0.table.forgetEverything() }
      for key in keys { $0.table.forget(key) }
    }
  }

  /// Nobody is likely to ask for this inode soon.
  func forget(_ id: InodeID) { state.withLock { $0.table.drop(id) } }

  /// Which connection of the server an answer to a question asked now will belong to.
  func generation(of server: ServerIndex) -> UInt64 {
    state.withLock { $0.generations[server.value] }
  }

  /// A server told its head in an answer.
  func told(_ head: Head, by server: ServerIndex, generation: UInt64) {
    state.withLock { $0.rise(to: head, toldBy: server, generation: generation) }
  }

  // MARK: What this client does

  /// A change is about to be sent, one at a time: the rows that it writes are not known until it ends.
  func begin(_ writes: [RowWrite], as head: Head) -> PendingChange {
    state.withLock {
      $0.floor = max($0.floor, head)
      $0.changes += 1
      $0.table.begin(writes)
    }
    return PendingChange(cache: self, writes: writes)
  }

  fileprivate func committed(_ writes: [RowWrite], as head: Head) {
    state.withLock {
      $0.floor = max($0.floor, head)
      $0.changes += 1
      if head < $0.floor {
        $0.table.abandon()
      } else {
        $0.table.commit(writes, number: head.number)
      }
      $0.wake()
    }
  }

  fileprivate func abandoned() {
    state.withLock {
      $0.changes += 1
      $0.table.abandon()
      $0.wake()
    }
  }

  /// A view was taken, at rows that its sources told before.
  func viewTaken(_ head: Head) { state.withLock { $0.floor = max($0.floor, head) } }

  /// Keeps rows that are the truth at `head`, unless something newer was heard of.
  func keep(_ findings: [Finding], at head: Head) {
    state.withLock {
      guard !(head < $0.floor) else { return }
      for finding in findings { $0.table.keep(finding) }
    }
  }

  // MARK: Asking

  /// Whether pushes alone keep the rows true: every change is on three servers, so two of three that
  /// are connected push it.
  var isPushed: Bool { state.withLock { $0.connected.count >= Limits.quorum } }

  /// A count that moves with every change, by others or by this client; nil while changes of others
  /// may not be pushed.
  var changes: UInt64? {
    state.withLock { $0.connected.count >= Limits.quorum ? $0.changes : nil }
  }

  /// Whether somebody has a later view than `view`.
  func hasHeard(laterThan view: View) -> Bool { state.withLock { $0.floor.view > view } }
  var latestView: View { state.withLock { $0.floor.view } }

  /// What was known at one moment.
  struct Look<Value: Sendable>: Sendable {
    let known: Known<Value>
    fileprivate let foreign: UInt64
  }

  /// What is known now; where the change under way writes what is asked for, what is known when that
  /// has ended, but no later than after `patience`.
  func look<Value>(
    within patience: Duration, in environment: any Environment,
    _ body: @escaping @Sendable (inout RowCacheTable) -> Known<Value>
  ) async -> Look<Value> {
    let (number, ready) = state.withLock { state -> (UInt64, Look<Value>?) in
      state.nextWaiter += 1
      return (state.nextWaiter, state.closed(body))
    }
    if let ready { return ready }
    let alarm = Task {
      try await environment.sleep(for: patience)
      state.withLock { state in state.waiters.removeValue(forKey: number)?(&state) }
    }
    defer { alarm.cancel() }
    return await withCheckedContinuation { continuation in
      state.withLock { state in
        if let ready = state.closed(body) { return continuation.resume(returning: ready) }
        state.waiters[number] = { state in
          continuation.resume(returning: state.look(body).look)
        }
      }
    }
  }

  /// Whether nothing came from others since then: no push, no connection that began or ended.
  func isUndisturbed<Value>(since look: Look<Value>) -> Bool {
    state.withLock { $0.foreign == look.foreign }
  }

  /// What is known now.
  func now<Value>(_ body: (inout RowCacheTable) -> Value) -> Value {
    state.withLock { body(&$0.table) }
  }

  func inode(_ id: InodeID) -> Known<Inode> { now { $0.inode(id) } }
  func attributes(_ id: InodeID) -> [AttributeName: [UInt8]]? { now { $0.attributes(id) } }

  /// Entries of a wholly known directory whose inodes are not known; nil if it is not wholly known.
  func unknownChildren(of directory: InodeID) -> [InodeID]? {
    now { $0.unknownChildren(of: directory) }
  }

  /// What answers the query, or nil. A directory's query is answered as far as whether it is empty.
  func findings(for query: Query) -> [Finding]? {
    switch query {
    case .inode(let id):
      switch inode(id) {
      case .unknown: nil
      case .absent: [.inode(id, nil)]
      case .present(let inode): [.inode(id, inode)]
      }
    case .entry(let parent, let name):
      switch now({ $0.childInode(parent, name) }) {
      case .unknown: nil
      case .absent: [.entry(parent: parent, name, nil)]
      case .present(let inode):
        [.entry(parent: parent, name, inode.id), .inode(inode.id, inode)]
      }
    case .directory(let id, _): now { $0.emptiness(id) }
    case .attributes(let id): attributes(id).map { [.attributes(id, $0)] }
    case .everything, .substitutes: nil
    }
  }
}

/// A change of this client that is under way. Who holds it ends it, once: what it writes is not known
/// before.
struct PendingChange: ~Copyable {
  fileprivate let cache: RowCache
  fileprivate let writes: [RowWrite]

  /// What it wrote is the truth at `head`.
  consuming func commit(as head: Head) { cache.committed(writes, as: head) }

  /// What became of it is not known here, or others may have written after it.
  consuming func abandon() { cache.abandoned() }
}

extension RowCache.State {
  /// Something came from others.
  fileprivate mutating func disturb() {
    foreign += 1
    changes += 1
  }

  fileprivate mutating func renew(_ server: ServerIndex) {
    generations[server.value] += 1
    disturb()
    told.remove(server)
    table.forgetEverything()
  }

  fileprivate mutating func rise(to head: Head, toldBy server: ServerIndex, generation: UInt64) {
    // What one server alone tells and no honest one can is not waited for.
    guard rounds.heard(head.view.round, from: server) else { return }
    let isOfThisConnection = generation == generations[server.value]
    if floor < head {
      if !isOfThisConnection || !told.contains(server) {
        disturb()
        table.forgetEverything()
      }
      floor = head
    }
    if isOfThisConnection { told.insert(server) }
  }

  fileprivate mutating func look<Value>(
    _ body: (inout RowCacheTable) -> Known<Value>
  ) -> (look: RowCache.Look<Value>, isOpen: Bool) {
    let (known, isOpen) = table.look(body)
    return (RowCache.Look(known: known, foreign: foreign), isOpen)
  }

  /// Nil where the change under way writes what is asked for.
  fileprivate mutating func closed<Value>(
    _ body: (inout RowCacheTable) -> Known<Value>
  ) -> RowCache.Look<Value>? {
    let (look, isOpen) = look(body)
    return isOpen ? nil : look
  }

  fileprivate mutating func wake() {
    let waiting = waiters
    waiters = [:]
    for (_, waiter) in waiting.sorted(by: { $0.key < $1.key }) { waiter(&self) }
  }
}

extension Head {
  /// Heads are ordered by view, then number.
  static func < (left: Head, right: Head) -> Bool {
    (left.view, left.number) < (right.view, right.number)
  }
}

private func max(_ one: Head, _ other: Head) -> Head { one < other ? other : one }
