import DFSCore
import DFSTestSupport
import NIOPosix
import Synchronization
import Testing

@testable import DFSClient

/// Questions to several servers at once, and what is waited for.
@Suite struct GatherTests {
  private let loop = MultiThreadedEventLoopGroup.singleton.next()
  private let all = ServerIndex.all

  @Test func allAnswersAreTaken() async {
    let found = await gather(from: all, on: loop) { server, note in note(server.value) }
    #expect(found == Dictionary(uniqueKeysWithValues: all.map { ($0, $0.value) }))
    let none = await gather(from: [], on: loop) { (_, note: (Int?) -> Void) in note(1) }
    #expect(none.isEmpty)
  }

  @Test func failuresAreCountedAndLeftOut() async {
    let found = await gather(from: all, on: loop) { server, note in
      note(server.value < 2 ? server.value : nil)
    }
    #expect(found.count == 2)
  }

  @Test func enoughIsEnough() async {
    // The last one never answers.
    let found = await gather(from: all, on: loop, until: { $0.count == 3 }) { server, note in
      if server.value < 3 { note(server.value) }
    }
    #expect(found.count == 3)
  }

  @Test func theTimeIsUp() async {
    let late = Mutex<(@Sendable (Int?) -> Void)?>(nil)
    let limit = DelayQueue(.milliseconds(20), on: loop)
    let found = await gather(from: all, on: loop, within: limit) { server, note in
      if server.value == 0 { note(0) } else { late.withLock { $0 = note } }
    }
    #expect(found == [all[0]: 0])
    // An answer that comes after it does no harm.
    late.withLock { $0 }?(1)
  }

  /// Three are asked; the fourth where they do not prove enough.
  @Test func theRestIsAskedWhereTheFirstAreNotEnough() async {
    let asked = Mutex<[ServerIndex]>([])
    let never = DelayQueue(.seconds(100), on: loop)
    func ask(
      enough: Int, failing: ServerIndex? = nil
    ) async -> (found: Int, asked: [ServerIndex]) {
      asked.withLock { $0 = [] }
      let found = await gather(
        from: all, on: loop, first: 3, reserve: never, until: { $0.count == enough }
      ) { server, note in
        asked.withLock { $0.append(server) }
        note(server == failing ? nil : server.value)
      }
      return (found.count, asked.withLock { $0.sorted() })
    }
    #expect(await ask(enough: 3) == (3, Array(all[..<3])))
    #expect(await ask(enough: 4) == (4, all))
    #expect(await ask(enough: 3, failing: all[1]) == (3, all))
    #expect(await ask(enough: 4, failing: all[1]) == (3, all))
  }

  @Test func theRestIsAskedWhereOneIsSilent() async {
    let soon = DelayQueue(.milliseconds(5), on: loop)
    let found = await gather(
      from: all, on: loop, first: 3, reserve: soon, until: { $0.count == 3 }
    ) { server, note in
      if server.value != 1 { note(server.value) }
    }
    #expect(found.keys.map(\.value).sorted() == [0, 2, 3])
  }

  @Test func anInboxWakesWhoWaitsWhenThereIsEnoughOrItPresses() async throws {
    let mailbox = Mailbox<Int>()
    #expect(mailbox.put(1))
    #expect(await mailbox.take() == [1])
    async let three = mailbox.take(atLeast: 3)
    for number in 2...4 { mailbox.put(number) }
    #expect(await three == [2, 3, 4])
    async let pressed = mailbox.take(atLeast: 3)
    mailbox.put(5, presses: true)
    #expect(await pressed == [5])
    mailbox.close()
    #expect(!mailbox.put(6))
  }

  @Test func callsBackInOrderEachAfterItsTime() async throws {
    let delay = DelayQueue(.milliseconds(20), on: loop)
    let begin = ContinuousClock.now
    let called = Mutex<[Int]>([])
    let early = Mutex(false)
    for number in 0..<50 {
      let from = ContinuousClock.now
      delay.callBack {
        called.withLock { $0.append(number) }
        if ContinuousClock.now - from < .milliseconds(20) { early.withLock { $0 = true } }
      }
    }
    try await eventually("all were called") { called.withLock { $0.count } == 50 }
    #expect(called.withLock { $0 } == Array(0..<50))
    #expect(!early.withLock { $0 })
    // And once more, after it came to rest.
    delay.callBack { called.withLock { $0.append(50) } }
    try await eventually("the last was called") { called.withLock { $0.last } == 50 }
    #expect(ContinuousClock.now - begin >= .milliseconds(40))
  }
}
