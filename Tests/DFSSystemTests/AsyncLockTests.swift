import DFSCore
import DFSSystem
import DFSTestSupport
import Synchronization
import Testing

/// Who has a lock of tasks, in which order, and who stops waiting for it.
@Suite(.timeLimit(.minutes(1))) struct AsyncLockTests {
  private final class Steps: Sendable {
    private let state = Mutex<(waiting: Set<Int>, done: [Int])>(([], []))
    var done: [Int] { state.withLock { $0.done } }

    /// A task that waits for the lock, and then notes its number; returned once it waits.
    func begin(_ number: Int, with lock: AsyncLock) async throws -> Task<Void, any Error> {
      let task = Task {
        try await lock.alone {
          self.state.withLock { _ = $0.waiting.insert(number) }
        } _: {
          self.state.withLock { $0.done.append(number) }
        }
      }
      try await eventually("\(number) waits") {
        lock.noteProgress()
        return self.state.withLock { $0.waiting.contains(number) }
      }
      return task
    }
  }

  @Test func theOrderIsThatOfAsking() async throws {
    let (lock, steps) = (AsyncLock(), Steps())
    try await lock.take()
    var tasks: [Task<Void, any Error>] = []
    for number in 0..<10 { tasks.append(try await steps.begin(number, with: lock)) }
    lock.give()
    for task in tasks { try await task.value }
    #expect(steps.done == Array(0..<10))
    #expect(!lock.isTaken)
  }

  @Test func whoIsCancelledWaitsNoLonger() async throws {
    let (lock, steps) = (AsyncLock(), Steps())
    try await lock.take()
    let first = try await steps.begin(1, with: lock)
    let second = try await steps.begin(2, with: lock)
    first.cancel()
    await #expect { try await first.value } throws: { ($0 as? DFSError)?.code == .cancelled }
    lock.give()
    try await second.value
    #expect(steps.done == [2])
  }

  @Test func whoIsCancelledBeforeGetsItNot() async throws {
    let lock = AsyncLock()
    try await lock.take()
    let task = Task {
      try? await Task.sleep(for: .seconds(30))
      try await lock.take()
    }
    task.cancel()
    await #expect { try await task.value } throws: { ($0 as? DFSError)?.code == .cancelled }
    lock.give()
    #expect(!lock.isTaken)
  }

  @Test(arguments: [Duration.seconds(-1), .zero, .milliseconds(20)])
  func nobodyWaitsLongerThanItsDeadline(_ patience: Duration) async throws {
    let lock = AsyncLock()
    try await lock.take(until: .now + patience)
    await #expect { try await lock.take(until: .now + patience) } throws: {
      ($0 as? DFSError)?.code == .timedOut
    }
    lock.give()
    #expect(!lock.isTaken)
  }

  @Test func quickStepsShareItUntilAnotherWaits() async throws {
    let (lock, steps) = (AsyncLock(), Steps())
    #expect(lock.tryEnter() && lock.tryEnter() && !lock.isTaken)
    let alone = try await steps.begin(1, with: lock)
    #expect(lock.isTaken && !lock.tryEnter())
    lock.leave()
    #expect(steps.done.isEmpty)
    lock.leave()
    try await alone.value
    #expect(steps.done == [1])
    #expect(lock.tryEnter())
  }

  @Test func whoGivesUpKeepsNobodyFromSharing() async throws {
    let (lock, steps) = (AsyncLock(), Steps())
    #expect(lock.tryEnter())
    let alone = try await steps.begin(1, with: lock)
    alone.cancel()
    await #expect(throws: DFSError.self) { try await alone.value }
    #expect(lock.tryEnter() && !lock.isTaken)
  }

  private final class Inside: Sendable {
    private let state = Mutex((now: 0, most: 0, count: 0))
    var most: Int { state.withLock { $0.most } }
    var count: Int { state.withLock { $0.count } }

    func visit() async {
      state.withLock {
        $0.now += 1
        $0.most = max($0.most, $0.now)
        $0.count += 1
      }
      await Task.yield()
      state.withLock { $0.now -= 1 }
    }
  }

  @Test func oneAtATimeUnderLoad() async throws {
    let (lock, inside) = (AsyncLock(), Inside())
    await withTaskGroup(of: Void.self) { group in
      for index in 0..<200 {
        group.addTask {
          let deadline = index % 3 == 0 ? nil : ContinuousClock.now + .milliseconds(index % 7)
          guard (try? await lock.take(until: deadline)) != nil else { return }
          await inside.visit()
          lock.give()
        }
      }
    }
    #expect(inside.most == 1 && inside.count >= 67)
    #expect(!lock.isTaken)
  }
}
