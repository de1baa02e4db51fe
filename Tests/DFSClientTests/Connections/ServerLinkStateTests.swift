import DFSCore
import NIOCore
import Testing

@testable import DFSClient

@Suite struct ServerLinkStateTests {
  private let refused = DFSError(.disconnected, "DFS1: Connection refused")
  private let now = NIODeadline.uptimeNanoseconds(1_000_000_000)

  private func up() -> ServerLinkState {
    var state = ServerLinkState(peer: "DFS1", callTimeout: .seconds(30))
    _ = state.started()
    _ = state.ready(now: now)
    return state
  }

  @Test func isReachableOnceItsObserversWereTold() {
    var state = ServerLinkState(peer: "DFS1", callTimeout: .seconds(30))
    #expect(state.started() == [.connect])
    #expect(!state.isReachable)
    #expect(state.ready(now: now) == [.tellConnected, .log(.up), .tried])
    #expect(state.isReachable)
    #expect(state.problem == nil)
  }

  @Test func anAbsenceIsLoggedOnceAndTriedForEver() {
    var state = up()
    let first = state.ended(refused, now: now, random: 0.5)
    #expect(first.prefix(3) == [.tellDisconnected, .closeBulk(refused), .log(.away(refused))])
    #expect(first.last == .wait(.milliseconds(50)))
    for _ in 0..<20 {
      #expect(state.retryIsDue() == [.connect])
      let actions = state.ended(refused, now: now, random: 0.5)
      #expect(actions.count == 2 && actions[0] == .tried)
    }
    _ = state.retryIsDue()
    #expect(state.ready(now: now) == [.tellConnected, .log(.back), .tried])
  }

  @Test func onlyAConnectionThatLastedMakesTheNextOneQuick() {
    var state = up()
    _ = state.ended(refused, now: now + .seconds(1), random: 0.5)
    _ = state.retryIsDue()
    _ = state.ready(now: now)
    #expect(
      state.ended(refused, now: now + .seconds(1), random: 0.5).last == .wait(.milliseconds(100)))
    _ = state.retryIsDue()
    _ = state.ready(now: now)
    #expect(
      state.ended(refused, now: now + .seconds(6), random: 0.5).last == .wait(.milliseconds(50)))
  }

  @Test func aWrongPasswordIsSaidAndTriedRarely() {
    let wrong = DFSError(.loginFailed, "Invalid Username/Password. Please try again.")
    var state = ServerLinkState(peer: "DFS1", callTimeout: .seconds(30))
    _ = state.started()
    let actions = state.ended(wrong, now: now, random: 0.5)
    #expect(actions == [.log(.away(wrong)), .tried, .wait(.seconds(30))])
    #expect(state.problem == wrong)
  }

  /// The account may have been made meanwhile, or the password file have another password.
  @Test func aRefusedLoginIsTriedAgainWhenSomethingIsAskedButNotOften() {
    let wrong = DFSError(.loginFailed, "Invalid Username/Password. Please try again.")
    var state = up()
    _ = state.ended(wrong, now: now)
    #expect(state.isRefused)
    #expect(state.retryNow(now: now + .milliseconds(900)) == [])
    #expect(state.retryNow(now: now + .seconds(1)) == [.renewAndConnect])
    #expect(!state.isRefused)
    #expect(state.retryNow(now: now + .seconds(2)) == [], "it is being tried")
    _ = state.ended(wrong, now: now + .seconds(2))
    #expect(state.retryNow(now: now + .milliseconds(2900)) == [])
    #expect(state.retryIsDue() == [.renewAndConnect])
    _ = state.ended(refused, now: now + .seconds(3))
    #expect(!state.isRefused)
    #expect(state.retryNow(now: now + .seconds(3)) == [.connect])
  }

  @Test func aSilentServerIsNotAskedUntilItAnswers() {
    var state = up()
    let actions = state.fellSilent(now: now)
    #expect(actions.last == .log(.silent))
    #expect(!state.isReachable)
    #expect(state.fellSilent(now: now) == [])
    #expect(state.answers() == [.log(.answering)])
    #expect(state.isReachable)
    #expect(state.answers() == [])
  }

  @Test func aServerThatWasLostIsWaitedForForAMoment() {
    var state = up()
    let soon = now + .seconds(4)
    let late = now + .seconds(6)
    #expect(!state.mayReturn(now: now))
    _ = state.fellSilent(now: now)
    #expect(state.mayReturn(now: soon) && !state.mayReturn(now: late))
    _ = state.answers()
    #expect(!state.mayReturn(now: soon))
    _ = state.ended(refused, now: soon)
    _ = state.retryNow(now: soon)
    // It was lost once, however often it is tried in vain.
    _ = state.ended(refused, now: late)
    #expect(state.mayReturn(now: now + .seconds(8)))
    #expect(!state.mayReturn(now: now + .seconds(10)))
    var never = ServerLinkState(peer: "DFS1", callTimeout: .seconds(30))
    _ = never.started()
    _ = never.ended(refused, now: now)
    #expect(!never.mayReturn(now: now))
  }

  @Test func aStoppingServerIsNotAskedAnyMore() {
    var state = up()
    _ = state.leaves(now: now)
    #expect(!state.isReachable)
    #expect(state.ended(refused, now: now).first == .tellDisconnected)
  }

  @Test func nothingHappensAfterTheStop() {
    var state = up()
    #expect(state.stopped().first == .tellDisconnected)
    #expect(state.ended(refused, now: now) == [])
    #expect(state.retryIsDue() == [])
    #expect(state.ready(now: now) == [])
    #expect(!state.isReachable)
  }
}
