import NIOCore
import Testing

@testable import DFSClient

@Suite struct ConnectionLivenessTests {
  private func at(_ milliseconds: Int64) -> NIODeadline {
    .uptimeNanoseconds(1_000_000_000) + .milliseconds(milliseconds)
  }

  @Test func asksOnceAfterASecondOfQuiet() {
    var liveness = ConnectionLiveness(now: at(0))
    #expect(liveness.tick(now: at(750), waitingSince: nil) == .nothing)
    #expect(liveness.tick(now: at(1000), waitingSince: nil) == .ping)
    #expect(liveness.tick(now: at(1250), waitingSince: at(1000)) == .nothing)
    let wasSilent = liveness.heard(now: at(1300))
    #expect(!wasSilent)
    #expect(liveness.tick(now: at(2250), waitingSince: nil) == .nothing)
    #expect(liveness.tick(now: at(2300), waitingSince: nil) == .ping)
  }

  @Test func isSilentTwoSecondsAfterAQuestionAndAnswersAgain() {
    var liveness = ConnectionLiveness(now: at(0))
    _ = liveness.tick(now: at(1000), waitingSince: nil)
    #expect(liveness.tick(now: at(2750), waitingSince: at(1000)) == .nothing)
    #expect(liveness.tick(now: at(3000), waitingSince: at(1000)) == .silent)
    #expect(liveness.tick(now: at(3250), waitingSince: at(1000)) == .nothing)
    let wasSilent = liveness.heard(now: at(3300))
    #expect(wasSilent)
    #expect(!liveness.isSilent)
  }

  @Test func aSlowQuestionIsNoSilenceWhileOthersAreAnswered() {
    var liveness = ConnectionLiveness(now: at(0))
    for time in stride(from: Int64(500), through: 20_000, by: 500) {
      #expect(liveness.tick(now: at(time), waitingSince: at(100)) != .silent)
      _ = liveness.heard(now: at(time))
    }
  }

  @Test func givesUpAfterTenSeconds() {
    var liveness = ConnectionLiveness(now: at(0))
    #expect(liveness.tick(now: at(2000), waitingSince: at(0)) == .silent)
    #expect(liveness.tick(now: at(9750), waitingSince: at(0)) != .close)
    #expect(liveness.tick(now: at(10_000), waitingSince: at(0)) == .close)
  }

  @Test func backsOffFrom50MillisecondsTo2Seconds() {
    var backoff = Backoff()
    let delays = (0..<8).map { _ in backoff.delay(random: 0.5).nanoseconds / 1_000_000 }
    #expect(delays == [50, 100, 200, 400, 800, 1600, 2000, 2000])
    backoff.reset()
    #expect(backoff.delay(random: 0.5) == .milliseconds(50))
    #expect(Backoff.spread(.seconds(1), 0) == .milliseconds(750))
  }
}
