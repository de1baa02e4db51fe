internal import DFSCore
internal import NIOPosix
internal import Synchronization

/// A bounded number of threads for work that blocks (disk, SQLite, checksums of large data), so
/// that it never runs on an event loop or in Swift's cooperative pool. The threads are its own: on
/// Linux the threads of Dispatch's queues are those of the cooperative pool.
///
/// The users take turns: a piece of work waits for those of its own user that came before it, and for
/// one of each other user at the most; and one user's work leaves a thread to the others.
///
/// Invariants: at most as many pieces of work run at once as there are threads. All that was submitted
/// is run; `run` leaves out what nobody waits for any more, for its connection has ended.
struct WorkQueue: Sendable {
  private let turns: WorkTurns
  /// Whose work comes through here; nil: the server's own.
  private let owner: UserName?

  init(width: Int) {
    turns = WorkTurns(width: width)
    owner = nil
  }

  private init(_ turns: WorkTurns, owner: UserName) {
    self.turns = turns
    self.owner = owner
  }

  /// The same threads, for the work of one user.
  func owned(by owner: UserName) -> WorkQueue { WorkQueue(turns, owner: owner) }

  /// Runs `work` when its turn has come.
  func submit(_ work: @escaping @Sendable () -> Void) { turns.submit(owner, work) }

  /// Runs `work` on one of the threads and waits for it without blocking.
  /// - Throws: `cancelled` if the connection that asked for it ended before.
  func run<Value: Sendable>(_ work: @escaping @Sendable () throws -> Value) async throws -> Value {
    let life = SessionLife.current
    return try await withCheckedThrowingContinuation { continuation in
      submit {
        continuation.resume(
          with: Result {
            try life?.check()
            return try work()
          })
      }
    }
  }
}

/// The threads of a queue, and what waits for them.
private final class WorkTurns: Sendable {
  private struct Line {
    var waiting: [@Sendable () -> Void] = []
    /// Where the next one is in `waiting`.
    var next = 0
    var running = 0

    var isEmpty: Bool { next == waiting.count }

    mutating func take() -> @Sendable () -> Void {
      defer {
        next += 1
        if next > 64, next * 2 > waiting.count {
          waiting.removeFirst(next)
          next = 0
        }
      }
      return waiting[next]
    }
  }

  private struct State {
    var lines: [UserName?: Line] = [:]
    /// Those for whom something waits, the next one first.
    var order: [UserName?] = []
    var running = 0
  }

  private let threads: NIOThreadPool
  private let width: Int
  private let state = Mutex(State())

  init(width: Int) {
    precondition(width > 0, "a work queue has at least one thread")
    self.width = width
    threads = NIOThreadPool(numberOfThreads: width)
    threads.start()
  }

  deinit { threads.shutdownGracefully { _ in } }

  func submit(_ owner: UserName?, _ work: @escaping @Sendable () -> Void) {
    let starts = state.withLock { state in
      let wasEmpty = state.lines[owner]?.isEmpty ?? true
      state.lines[owner, default: Line()].waiting.append(work)
      if wasEmpty { state.order.append(owner) }
      guard state.running < width else { return false }
      state.running += 1
      return true
    }
    // The threads stay as long as there is work for them.
    if starts { threads.submit { _ in withExtendedLifetime(self) { self.work() } } }
  }

  /// Runs what waits until there is nothing that may run.
  private func work() {
    var last: UserName??
    while let (owner, work) = next(after: last) {
      work()
      last = .some(owner)
    }
  }

  /// - Parameter last: whose work this thread has done.
  /// - Returns: nil if the thread is not needed any more.
  private func next(after last: UserName??) -> (UserName?, @Sendable () -> Void)? {
    state.withLock { state in
      if let last { Self.ended(last, &state) }
      let place = state.order.firstIndex { owner in
        owner == nil || (state.lines[owner]?.running ?? 0) < max(1, width - 1)
      }
      guard let place else {
        state.running -= 1
        return nil
      }
      let owner = state.order.remove(at: place)
      guard let work = state.lines[owner]?.take() else { return nil }
      state.lines[owner]?.running += 1
      if state.lines[owner]?.isEmpty == false { state.order.append(owner) }
      return (owner, work)
    }
  }

  private static func ended(_ owner: UserName?, _ state: inout State) {
    guard var line = state.lines[owner] else { return }
    line.running -= 1
    state.lines[owner] = line.running == 0 && line.isEmpty ? nil : line
  }
}

/// The life of one connection, as far as the store must know it: work that waits for it is left out
/// when it has ended.
public final class SessionLife: Sendable {
  /// Of the connection whose request the current task performs.
  @TaskLocal public static var current: SessionLife?

  private let isOver = Atomic(false)

  /// The life of a connection that has just been made.
  public init() {}

  /// Ends it: work that waits for the connection fails with `cancelled`.
  public func end() { isOver.store(true, ordering: .relaxed) }

  func check() throws(DFSError) {
    guard !isOver.load(ordering: .relaxed) else {
      throw DFSError(.cancelled, "the connection ended")
    }
  }
}
