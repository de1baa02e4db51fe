internal import DFSCore
internal import DFSReplication
internal import Synchronization

/// The head as it was made known: what `head()` answers, and what a query waits for.
///
/// Invariants:
/// - The observer is called for each change in order, before the head that has it is shown.
/// - An answer with a head is given only after that head was shown, so that whoever reports it has
///   been told of every change in it.
final class HeadPublisher: Sendable {
  typealias Observer = @Sendable (_ keys: [RowKey]?, _ head: Head, _ author: ClientID?) -> Void

  private struct State {
    var head = Head.blank
    var generation: UInt64 = 0
    var failure: DFSError?
    var observer: Observer?
    var waiting: [(generation: UInt64, turn: @Sendable (Result<Void, any Error>) -> Void)] = []
  }

  private let state = Mutex(State())

  var head: Head { state.withLock { $0.head } }
  /// Why nothing is served from the database any more.
  var failure: DFSError? { state.withLock { $0.failure } }

  func observe(_ observer: @escaping Observer) { state.withLock { $0.observer = observer } }

  /// Tells the observer, then shows the head of `ledger`. Called by the writer only.
  func publish(_ announcements: [Announcement], _ ledger: Ledger) {
    let observer = state.withLock { $0.observer }
    for announcement in announcements {
      observer?(announcement.keys, announcement.head, announcement.author)
    }
    let ready = state.withLock { state in
      state.head = ledger.replica.head
      state.generation = ledger.generation
      let ready = state.waiting.filter { $0.generation <= ledger.generation }
      state.waiting.removeAll { $0.generation <= ledger.generation }
      return ready
    }
    ready.forEach { $0.turn(.success(())) }
  }

  /// Calls `turn` once the head of `generation` was shown: at once, or where it is shown.
  func reached(
    _ generation: UInt64, _ turn: @escaping @Sendable (Result<Void, any Error>) -> Void
  ) {
    let now = state.withLock { state -> Result<Void, any Error>? in
      if let failure = state.failure { return .failure(failure) }
      if state.generation >= generation { return .success(()) }
      state.waiting.append((generation, turn))
      return nil
    }
    if let now { turn(now) }
  }

  /// No further head will be shown.
  /// - Returns: false if that was so before.
  func fail(_ error: DFSError) -> Bool {
    let (isFirst, waiting) = state.withLock { state in
      defer { state.waiting = [] }
      let isFirst = state.failure == nil
      if isFirst { state.failure = error }
      return (isFirst, state.waiting)
    }
    waiting.forEach { $0.turn(.failure(error)) }
    return isFirst
  }
}
