internal import DFSCore
internal import DFSSystem
internal import Logging
internal import Synchronization

/// The locks that this client has of files, over the rows that all clients agree on (`LockRow`).
///
/// Invariants:
/// - A lock is granted here only if the row of its file says so, or gives this client the token.
/// - What was written under a lock is stored before the row lets it go.
/// - Locks are relied on without asking for `LockPace.trust` after three servers answered, whose pushes came before. Who
///   is asked to show that it lives and sees that answers at once, and asks before it relies on locks until the answer
///   is in the row; who does not for `LockPace.patience` is taken for dead, and its locks are removed.
/// - What is published to a file under a lock is published only if the row still has it.
final class FileLocks: LockService {
  /// What this client is to a file, by its row.
  enum Standing: Sendable {
    case none, token, listed, lost
    /// The file has no name, and no row: its locks are this client's, as long as that is so.
    case alone
  }

  final class Entry: Sendable {
    struct State {
      var table = LockTable()
      var standing = Standing.none
      /// Who waits here, to be woken by any change.
      var sleepers: [UInt64: CheckedContinuation<Void, Never>] = [:]
      /// The locks that owners of this client want.
      var wanted: Set<FileLock> = []
      /// Those of them that have to wait.
      var waiting: Set<FileLock> = []
      var changes: UInt64 = 0
      var next: UInt64 = 0
      /// When a lock was granted last.
      var used: ContinuousClock.Instant
      var isWatched = false
      /// How often the row was perhaps changed by others, and how often it had been when it was looked at last and no
      /// question was in it that this client had not answered.
      var noted: UInt64 = 0
      var looked: UInt64 = 0
      /// Perhaps another client has taken the locks, or will soon.
      var isUnlooked: Bool { noted != looked }
      /// What others wrote, or was written through another open file of this client, was not read yet.
      var isBehind = false
      /// The clients that were in the way of who only tried, and whether somebody has tried since that was looked at.
      var doubted: [UInt64: Bool] = [:]

      mutating func grant(_ lock: FileLock, at time: ContinuousClock.Instant) {
        table.set(lock)
        used = time
        forget(lock)
      }

      mutating func forget(_ lock: FileLock) {
        wanted.remove(lock)
        waiting.remove(lock)
      }
    }

    /// Changes of the row, one after another.
    let turn = AsyncLock()
    let state: Mutex<State>

    init(at time: ContinuousClock.Instant) { state = Mutex(State(used: time)) }
  }

  let namespace: Namespace
  let pace: LockPace
  let client: UInt64
  let logger: Logger
  var environment: any Environment { namespace.environment }

  /// Not asked for with the state of an entry in hand: `goesOn` takes them the other way round.
  struct State {
    var entries: [InodeID: Entry] = [:]
    /// When three servers were asked that answered.
    var proven: ContinuousClock.Instant?
    var isBeating = false
    var user: (any LockUser)?
    var hasEnded = false
  }
  let state = Mutex(State())

  init(_ namespace: Namespace, client: ClientID, pace: LockPace, logger: Logger) {
    (self.namespace, self.client, self.pace) = (namespace, client.value, pace)
    self.logger = logger
  }

  func serve(_ user: any LockUser) { state.withLock { $0.user = user } }
  var user: (any LockUser)? { state.withLock { $0.user } }

  func isOpenAsSeveral(_ id: InodeID) -> Bool { user?.isOpenAsSeveral(id) ?? false }

  private func entry(_ id: InodeID) -> Entry {
    let now = environment.now
    return state.withLock { state in
      if let entry = state.entries[id] { return entry }
      let entry = Entry(at: now)
      state.entries[id] = entry
      return entry
    }
  }

  func known(_ id: InodeID) -> Entry? { state.withLock { $0.entries[id] } }

  // MARK: Locking

  func lock(_ id: InodeID, _ wanted: FileLock, waits: Bool) async throws {
    if isUpgrade(id, wanted) { await unlock(id, wanted.bytes, of: wanted.owner) }
    var wait = Wait(wanted.owner, at: environment.now)
    let result: Result<Void, any Error>
    do { result = .success(try await lock(id, wanted, waits: waits, &wait)) } catch {
      result = .failure(error)
    }
    await endWait(wait)
    try result.get()
  }

  private func lock(
    _ id: InodeID, _ wanted: FileLock, waits: Bool, _ wait: inout Wait
  ) async throws {
    var question = Question()
    while true {
      let entry = entry(id)
      if grantNow(entry, id, wanted) { return }
      defer { entry.state.withLock { $0.forget(wanted) } }
      let seen = entry.state.withLock { state in
        state.wanted.insert(wanted)
        return state.changes
      }
      let obstacle: Obstacle
      do {
        guard let found = try await attempt(entry, id, wanted, waits: waits) else { return }
        obstacle = found
      } catch {
        await forget(wanted, entry, id)
        throw error
      }
      if !waits, case .local = obstacle { throw Self.excluded }
      if wanted.owner.family == .ranges {
        _ = entry.state.withLock { $0.waiting.insert(wanted) }
        if await isDeadlocked(&wait) {
          await forget(wanted, entry, id)
          throw DFSError(
            .deadlock,
            "waiting for this lock would never end: its holders wait for locks of its owner")
        }
      }
      await sleep(entry, since: seen)
      guard !Task.isCancelled else {
        await forget(wanted, entry, id)
        throw DFSError(.cancelled, "waiting for a lock was interrupted")
      }
      if case .client(let other) = obstacle { await doubt(other, &question, entry, id) }
    }
  }

  /// flock(2) lets the shared lock go before it waits for the exclusive one: else two that do so would wait forever.
  private func isUpgrade(_ id: InodeID, _ wanted: FileLock) -> Bool {
    guard wanted.owner.family == .whole, wanted.isExclusive else { return false }
    return known(id)?.state.withLock { state in
      state.table.locks.contains { $0.owner == wanted.owner && !$0.isExclusive }
    } ?? false
  }

  static let excluded = DFSError(.wouldBlock, "another owner has a lock that excludes this one")

  /// What a lock waits for.
  enum Obstacle: Sendable {
    case local
    case client(UInt64)
  }

  /// Grants a lock that this client may grant by itself.
  private func grantNow(_ entry: Entry, _ id: InodeID, _ wanted: FileLock) -> Bool {
    guard isTrusted, !isOpenAsSeveral(id), entry.turn.tryEnter() else { return false }
    defer { entry.turn.leave() }
    guard known(id) === entry else { return false }
    let isGranted = entry.state.withLock { state in
      guard state.standing == .token, !state.isBehind, !state.isUnlooked,
        state.table.conflict(with: wanted) == nil
      else {
        return false
      }
      state.grant(wanted, at: environment.now)
      return true
    }
    // Of a lock that is weaker now.
    if isGranted, !wanted.isExclusive { wake(entry) }
    return isGranted
  }

  /// - Returns: what it has to wait for; nil: it is granted.
  private func attempt(
    _ entry: Entry, _ id: InodeID, _ wanted: FileLock, waits: Bool
  ) async throws -> Obstacle? {
    try await entry.turn.alone {
      // It was forgotten meanwhile: what comes next has another.
      guard self.known(id) === entry else { return .local }
      let standing = self.standing(entry, id)
      if standing == .lost { throw Self.lost(id) }
      let table = entry.state.withLock { $0.table }
      if table.conflict(with: wanted) != nil { return .local }
      if standing == .token {
        let isProved = self.isTrusted && !entry.state.withLock { $0.isUnlooked }
        if !isProved, try await !self.provesToken(entry, id) { return .local }
        entry.state.withLock { $0.grant(wanted, at: environment.now) }
        try await self.begin(wanted, entry, id)
        return nil
      }
      if table.isWeakened(by: wanted) { await Self.uncancelled { await self.store(id) } }
      let asked: Asked
      let noted = entry.state.withLock { $0.noted }
      do {
        asked = try await self.ask(id, wanted, holding: table, waits: waits)
      } catch let error as DFSError where error.code == .staleHandle {
        entry.state.withLock { state in
          state.grant(wanted, at: environment.now)
          state.standing = .alone
        }
        self.giveBackWhenIdle(entry, id)
        return nil
      }
      switch asked.answer {
      case .recalled(let other): return .client(other)
      case .excluded(let other, _):
        if waits { return .client(other) }
        self.doubt(other, entry, id)
        throw Self.excluded
      case .lost:
        self.lose(entry, id)
        throw Self.lost(id)
      case .granted: break
      }
      let isLost = entry.state.withLock { state in
        // Seen meanwhile: what was written before is not stored.
        if state.standing == .lost { return true }
        state.grant(wanted, at: environment.now)
        state.standing = asked.hasToken ? .token : .listed
        state.isBehind = true
        if !asked.isAsked { state.looked = max(state.looked, noted) }
        return false
      }
      if isLost { throw Self.lost(id) }
      self.beat()
      self.giveBackWhenIdle(entry, id)
      // What was pushed before this was known is not pushed again.
      self.look(entry, id, noted)
      try await self.begin(wanted, entry, id)
      return nil
    }
  }

  /// Has what was written under locks before read anew; a lock that was lost meanwhile is none. In turn.
  private func begin(_ wanted: FileLock, _ entry: Entry, _ id: InodeID) async throws {
    do {
      if entry.state.withLock({ $0.isBehind }) || isOpenAsSeveral(id) {
        try await user?.refresh(id)
        entry.state.withLock { $0.isBehind = false }
      }
      if isInDoubt(id) { try await prove(id) }
    } catch {
      let (rest, standing) = entry.state.withLock { state in
        state.table.clear(wanted.bytes, of: wanted.owner)
        return (state.table, state.standing)
      }
      if standing == .listed { await Self.uncancelled { await self.list(rest, entry, id) } }
      throw error
    }
  }

  /// Whether this client has the token still.
  private func provesToken(_ entry: Entry, _ id: InodeID) async throws -> Bool {
    let (now, noted) = (environment.now, entry.state.withLock { $0.noted })
    do {
      let row = try await surely(id)
      if row.token == client { proved(at: now) } else { lose(entry, id) }
      looked(at: row, entry, noted)
      return row.token == client
    } catch let error as DFSError where error.code == .staleHandle {
      // A file without a name is this client's alone.
      return true
    } catch let error as DFSError where error.code == .serversMissing {
      throw DFSError(.noLocks, "no lock can be had", cause: error)
    }
  }

  private struct Asked: Sendable {
    let answer: LockRow.Answer
    let hasToken: Bool
    /// Whether a question to this client is in the row.
    let isAsked: Bool
  }

  /// Asks the row as it is known, and changes it where that says something new.
  private func ask(
    _ id: InodeID, _ wanted: FileLock, holding table: LockTable, waits: Bool
  ) async throws -> Asked {
    let now = environment.now
    do {
      let before = try await row(of: id, .pushed)
      var after = before
      let answer = after.ask(wanted, by: client, holding: table, waits: waits)
      // What is pushed may be older than what this client has.
      guard after != before || answer == .granted || answer == .lost else {
        return Asked(answer: answer, hasToken: false, isAsked: false)
      }
    } catch let error as DFSError where error.code == .staleHandle {
      // What is known may be older than the file.
    }
    let client = client
    let asked = try await change(id) { row in
      let answer = row.ask(wanted, by: client, holding: table, waits: waits)
      return Asked(
        answer: answer, hasToken: row.token == client, isAsked: row.asked[client] != nil)
    }
    proved(at: now)
    return asked
  }

  func conflict(_ id: InodeID, with wanted: FileLock) async throws -> FileLock? {
    if let found = known(id)?.state.withLock({ $0.table.conflict(with: wanted) }) { return found }
    if known(id)?.state.withLock({ $0.standing == .token }) ?? false, isTrusted { return nil }
    let row = try await row(of: id, .current)
    var after = row
    switch after.ask(wanted, by: client, holding: LockTable(), waits: false) {
    case .granted, .lost: return nil
    case .excluded(let other, let lock):
      doubt(other, entry(id), id)
      return lock
    case .recalled: return try await untilListed(id, wanted)
    }
  }

  /// Whoever has the token is asked for its locks, as if this client wanted one.
  private func untilListed(_ id: InodeID, _ wanted: FileLock) async throws -> FileLock? {
    let entry = entry(id)
    _ = entry.state.withLock { $0.wanted.insert(wanted) }
    var question = Question()
    var answer = LockRow.Answer.granted
    var failure: (any Error)?
    repeat {
      let seen = entry.state.withLock { $0.changes }
      do {
        let client = client
        answer = try await change(id) { row in
          var after = row
          let answer = after.ask(wanted, by: client, holding: LockTable(), waits: false)
          if case .recalled = answer { row = after }
          return answer
        }
      } catch {
        failure = error
        break
      }
      guard case .recalled(let other) = answer else { break }
      await sleep(entry, since: seen)
      await doubt(other, &question, entry, id)
    } while !Task.isCancelled
    entry.state.withLock { $0.forget(wanted) }
    await forget(wanted, entry, id)
    if let failure { throw failure }
    try Task.checkNotCancelled()
    guard case .excluded(let other, let lock) = answer else { return nil }
    doubt(other, entry, id)
    return lock
  }

  func isLocked(_ id: InodeID) -> Bool {
    known(id)?.state.withLock { !$0.table.isEmpty } ?? false
  }

  func holds(_ id: InodeID, _ owner: FileLock.Owner) -> Bool {
    known(id)?.state.withLock { $0.table.holds(owner) } ?? false
  }
}
