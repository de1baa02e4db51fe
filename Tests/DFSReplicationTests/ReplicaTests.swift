import DFSCore
import DFSReplication
import Testing

/// The server's side, as a table: every state of a few views and numbers, every request.
@Suite struct ReplicaTests {
  private static let views = [View.none] + (1...3).map { View(round: $0, client: ClientID(1)) }
  private static let numbers: [UInt64] = [0, 1, 2]

  private static var states: [Replica] {
    views.flatMap { promised in
      views.filter { $0 <= promised }.flatMap { view in
        numbers.map { number in
          Replica(
            promised: promised, head: Head(view: view, number: number, digest: digest(number)))
        }
      }
    }
  }

  private static func digest(_ number: UInt64) -> RowDigest { RowDigest(high: 0, low: number) }

  private static func change(_ sequence: UInt64) -> Change {
    Change(id: ChangeID(client: ClientID(1), sequence: sequence), writes: [])
  }

  private func logged(_ state: Replica) -> (UInt64) -> LogEntry? {
    { number in
      guard (1...2).contains(number), number <= state.head.number else { return nil }
      return LogEntry(number: number, change: Self.change(number), digest: Self.digest(number))
    }
  }

  @Test func promises() {
    for state in Self.states {
      for view in Self.views.dropFirst() {
        let decision = state.decide(.prepare(view), logged: logged(state))
        if view > state.promised {
          #expect(decision == .promise(view))
        } else if view == state.promised, state.head.view != view {
          #expect(decision == .answer(.promised(state.head)))
        } else {
          #expect(decision == .answer(.refused(state.promised)))
        }
      }
    }
  }

  @Test func installsAViewOnceAndOnlyAtTheRowsThatAreNamed() {
    for state in Self.states {
      for view in Self.views.dropFirst() {
        for number in Self.numbers {
          let from = Head(view: .none, number: number, digest: Self.digest(number))
          let to = Head(view: view, number: number + 1, digest: Self.digest(number + 1))
          let request = NamespaceRequest.install(
            view, from: from, changes: [Self.change(number + 1)], to: to)
          let decision = state.decide(request, logged: logged(state))
          if view < state.promised {
            #expect(decision == .answer(.refused(state.promised)))
          } else if state.head.view == view {
            #expect(decision == .answer(.installed(state.head)))
          } else if number != state.head.number {
            #expect(decision == .answer(.behind(state.head)))
          } else {
            #expect(decision == .install(view, changes: [Self.change(number + 1)], to: to))
          }
        }
      }
    }
  }

  @Test func anInstallWhoseChangesDoNotLeadThereIsRefused() {
    let state = Replica(promised: Self.views[1])
    let to = Head(view: Self.views[1], number: 2, digest: Self.digest(2))
    let request = NamespaceRequest.install(
      Self.views[1], from: .blank, changes: [Self.change(1)], to: to)
    #expect(state.decide(request, logged: { _ in nil }) == .answer(.behind(.blank)))
  }

  @Test func appendsOnlyInThePromisedAndInstalledViewAndOnlyTheNextNumber() {
    for state in Self.states {
      for view in Self.views.dropFirst() {
        for number in UInt64(1)...3 {
          let change = Self.change(number)
          let decision = state.decide(
            .apply(view, number: number, change), logged: logged(state))
          if state.promised != view {
            #expect(decision == .answer(.refused(state.promised)))
          } else if state.head.view != view || number > state.head.number + 1 {
            #expect(decision == .answer(.behind(state.head)))
          } else if number == state.head.number + 1 {
            #expect(decision == .append(number: number, change))
          } else {
            let then = Head(view: view, number: number, digest: Self.digest(number))
            #expect(decision == .answer(.applied(then)))
          }
        }
      }
    }
  }

  @Test func anotherChangeUnderATakenNumberIsRefused() {
    let view = Self.views[1]
    let state = Replica(
      promised: view, head: Head(view: view, number: 2, digest: Self.digest(2)))
    let other = NamespaceRequest.apply(view, number: 2, Self.change(7))
    #expect(state.decide(other, logged: logged(state)) == .answer(.refused(view)))
    // The same where the log does not reach back that far.
    let old = NamespaceRequest.apply(view, number: 2, Self.change(2))
    #expect(state.decide(old, logged: { _ in nil }) == .answer(.refused(view)))
  }

  @Test func refillsObeyPromisesAndHappenOnceAView() {
    for state in Self.states {
      for view in Self.views.dropFirst() {
        let refusal = state.refusalOfTransfer(view)
        if view < state.promised {
          #expect(refusal == .refused(state.promised))
        } else {
          #expect(refusal == (state.head.view == view ? .installed(state.head) : nil))
        }
      }
    }
  }
}
