import NIOCore
import Testing

@testable import DFSClient

@Suite struct ConnectionRequestsTests {
  private let now = NIODeadline.uptimeNanoseconds(1_000_000_000)
  private var later: NIODeadline { now + .seconds(30) }

  private func filled(_ bytes: [Int], window: Int) -> ConnectionRequests<Int> {
    var requests = ConnectionRequests<Int>(windowBytes: window)
    for (index, bytes) in bytes.enumerated() {
      requests.submit(id: UInt64(index), bytes: bytes, deadline: later, index)
    }
    return requests
  }

  @Test func writesInOrderAsFarAsTheWindowGoes() {
    var requests = filled([4, 4, 4, 4], window: 10)
    #expect(requests.takeNext(now: now)?.id == 0)
    #expect(requests.takeNext(now: now)?.id == 1)
    #expect(requests.takeNext(now: now) == nil)
    #expect(requests.answered(id: 0) == .deliver(0))
    #expect(requests.takeNext(now: now)?.id == 2)
    #expect(requests.takeNext(now: now) == nil)
  }

  @Test func oneRequestLargerThanTheWindowGoesAlone() {
    var requests = filled([100, 1], window: 10)
    #expect(requests.takeNext(now: now)?.id == 0)
    #expect(requests.takeNext(now: now) == nil)
    _ = requests.answered(id: 0)
    #expect(requests.takeNext(now: now)?.id == 1)
  }

  @Test func whatWasGivenUpKeepsItsPlaceUntilItIsAnswered() {
    var requests = filled([10, 1], window: 10)
    _ = requests.takeNext(now: now)
    #expect(requests.giveUp(id: 0) == 0)
    #expect(requests.giveUp(id: 0) == nil)
    #expect(requests.takeNext(now: now) == nil)
    #expect(requests.answered(id: 0) == .ignore)
    #expect(requests.takeNext(now: now)?.id == 1)
  }

  @Test func whatWasGivenUpBeforeItWasWrittenIsNeverWritten() {
    var requests = filled([1, 1], window: 10)
    #expect(requests.giveUp(id: 0) == 0)
    #expect(requests.takeNext(now: now)?.id == 1)
    #expect(requests.answered(id: 0) == .unknown)
  }

  @Test func anAnswerBeforeTheQuestionIsUnknown() {
    var requests = filled([1], window: 10)
    #expect(requests.answered(id: 0) == .unknown)
    #expect(requests.answered(id: 7) == .unknown)
  }

  @Test func expiresWrittenAndWaitingOnes() {
    var requests = filled([10, 10], window: 10)
    _ = requests.takeNext(now: now)
    #expect(requests.expire(now: now).isEmpty)
    #expect(requests.expire(now: later).sorted() == [0, 1])
    #expect(requests.expire(now: later).isEmpty)
    #expect(requests.waitingSince == now)
  }
}
