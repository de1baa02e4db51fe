internal import DFSCore
internal import DFSReplication
internal import Synchronization

/// A change that somebody waits for.
final class QueuedChange: Sendable {
  /// Computes it, perhaps several times, and remembers what it gives to its caller.
  let compute: @Sendable (inout Transaction) async throws -> Void
  /// Fulfilled once with the servers that have its copies, or with why it did not happen.
  let outcome = Promise<ServerSet>()
  private let kept: Mutex<ChangeParts>
  private let gaveUp = Mutex<DFSError?>(nil)

  init(
    _ parts: ChangeParts, _ compute: @escaping @Sendable (inout Transaction) async throws -> Void
  ) {
    kept = Mutex(parts)
    self.compute = compute
  }

  /// What travels with it; told which servers have the copies, for the next try.
  var parts: ChangeParts { kept.withLock { $0 } }

  /// Why its caller does not wait any more for its being begun; nil as long as it does.
  var givenUp: DFSError? { gaveUp.withLock { $0 } }

  fileprivate func giveUp(_ error: DFSError) { gaveUp.withLock { $0 = error } }

  func isStored(on servers: ServerSet) { kept.withLock { $0.stored = servers } }

  /// Whether it may become one change with others: those whose copies were uploaded before are not many,
  /// and have servers of their own that have them.
  var isJoinable: Bool { kept.withLock { $0.held.isEmpty } }
}

/// The changes of a client that wait for their turn. Whoever has the turn performs all that wait as one
/// change: programs that run at once wait for one round of messages and not for each other's.
///
/// Invariants:
/// - A change is in the queue, or in the hands of who has the turn, or has its outcome.
/// - In the queue is only what somebody waits for who will have the turn.
final class ChangeQueue: Sendable {
  /// Changes that become one, and bytes of the small copies that travel with them: far less than fits in a frame.
  static let limit = (changes: 64, inlineBytes: 1 << 20)

  let waiting = Mutex<[QueuedChange]>([])

  func add(_ change: QueuedChange) { waiting.withLock { $0.append(change) } }

  /// - Returns: false if it is not in the queue any more.
  func remove(_ change: QueuedChange) -> Bool {
    waiting.withLock { waiting in
      guard let index = waiting.firstIndex(where: { $0 === change }) else { return false }
      waiting.remove(at: index)
      return true
    }
  }

  /// Takes the next changes that may become one.
  func take() -> [QueuedChange] {
    waiting.withLock { waiting in
      var (count, bytes) = (0, 0)
      for change in waiting.prefix(Self.limit.changes) {
        bytes += change.parts.inline.reduce(0) { $0 + $1.bytes.count }
        guard count == 0 || change.isJoinable && bytes <= Self.limit.inlineBytes else { break }
        count += 1
        guard change.isJoinable else { break }
      }
      let taken = Array(waiting.prefix(count))
      waiting.removeFirst(count)
      return taken
    }
  }

  /// Its caller waits no more for the turn.
  /// - Returns: false if somebody else has it in hand: it gets its outcome from there.
  func giveUp(_ change: QueuedChange, _ error: DFSError) -> Bool {
    waiting.withLock { waiting in
      guard let index = waiting.firstIndex(where: { $0 === change }) else {
        change.giveUp(error)
        return false
      }
      waiting.remove(at: index)
      return true
    }
  }

  /// Puts changes that were taken back to where they were. Those that were given up meanwhile have nobody who
  /// would perform them.
  func putBack(_ changes: [QueuedChange]) {
    let left = waiting.withLock { waiting in
      waiting = changes.filter { $0.givenUp == nil } + waiting
      return changes.compactMap { change in change.givenUp.map { (change, $0) } }
    }
    for (change, error) in left { change.outcome.fulfil(.failure(error)) }
  }
}

/// Changes while they are computed as one.
struct JointChange {
  /// Those that are part of it.
  private(set) var joined: [QueuedChange] = []
  /// Those that the rules forbid, as far as the rows were current.
  private(set) var refused: [(change: QueuedChange, error: DFSError)] = []
  /// Those that have to wait for the next one.
  private(set) var postponed: [QueuedChange] = []
  /// What travels with it.
  private(set) var parts = ChangeParts()
  private(set) var transaction: Transaction

  init(_ transaction: Transaction) { self.transaction = transaction }

  /// Computes one more.
  /// - Throws: `superseded` if all has to be computed again, `cancelled` if who computes it was.
  mutating func add(_ change: QueuedChange) async throws {
    guard postponed.isEmpty else { return postponed.append(change) }
    let before = transaction
    do {
      try await change.compute(&transaction)
    } catch {
      transaction = before
      let error = DFSError(error, else: .inputOutput)
      if error.code == .superseded || error.code == .cancelled { throw error }
      guard error.isAnswer else { return change.outcome.fulfil(.failure(error)) }
      return refused.append((change, error))
    }
    let fits = joined.isEmpty || transaction.mayJoin(before)
    guard fits else {
      transaction = before
      return postponed.append(change)
    }
    joined.append(change)
    let more = change.parts
    // Of one that came to nothing no row names a version: a server refuses all that such copies travel with.
    let named = Set(transaction.writes.compactMap { $0.value?.version })
    parts.inline += more.inline.filter { named.contains($0.id.version) }
    parts.held.merge(more.held) { $0 + $1 }
    parts.durable = parts.durable || more.durable
    if more.hasCopies { parts.stored = more.stored }
  }
}

extension DFSError {
  /// Whether the error says something about the rows.
  fileprivate var isAnswer: Bool {
    switch code {
    case .notFound, .exists, .notDirectory, .isDirectory, .notEmpty, .invalidArgument, .nameTooLong,
      .noSpace, .notPermitted, .staleHandle, .noAttribute, .outOfRange, .tooManyLinks:
      true
    default: false
    }
  }
}
