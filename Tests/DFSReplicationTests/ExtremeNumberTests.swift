import DFSCore
import DFSReplication
import DFSTestSupport
import Testing

/// Whatever numbers servers and clients tell, nothing traps, and nothing goes on for ever.
@Suite struct ExtremeNumberTests {
  private static let numbers: [UInt64] = [
    0, 1, 2, 1 << 24, 1 << 24 + 1, Limits.roundsAhead, Limits.number - 1, Limits.number,
    Limits.number + 1, 1 << 63, .max - 1, .max,
  ]

  private static func change(_ sequence: UInt64) -> Change {
    Change(id: ChangeID(client: ClientID(1), sequence: sequence), writes: [.note("a", 1)])
  }

  // MARK: The server's side

  private static let views = [1, Limits.number - 1, Limits.number, .max].map {
    View(round: $0, client: ClientID(1))
  }

  /// Every state at the extremes, every request.
  @Test func aReplicaDecidesWhateverTheNumbersAre() {
    var decisions = 0
    for promised in Self.views {
      for view in Self.views where view <= promised {
        for number in Self.numbers {
          let state = Replica(
            promised: promised, head: Head(view: view, number: number, digest: .empty))
          decisions += Self.decideAll(state)
        }
      }
    }
    #expect(decisions > 10_000)
  }

  private static func decideAll(_ state: Replica) -> Int {
    var count = 0
    for view in views {
      #expect(
        (state.leap(to: view) == nil)
          == (view.round <= state.promised.round
            || view.round - state.promised.round <= Limits.roundsAhead))
      _ = state.refusalOfTransfer(view)
      for number in numbers {
        let to = Head(view: view, number: number, digest: .empty)
        let applying = state.decide(.apply(view, number: number, change(1)), logged: { _ in nil })
        if case .append(let next, _) = applying {
          #expect(state.head.number < .max && next == state.head.number + 1)
        }
        for from in [number, state.head.number] {
          let install = NamespaceRequest.install(
            view, from: Head(view: view, number: from, digest: .empty),
            changes: [change(1), change(2)], to: to)
          if case .install(_, let changes, let to) = state.decide(install, logged: { _ in nil }) {
            #expect(to.number >= 2 && to.number - 2 == state.head.number && changes.count == 2)
          }
        }
        count += 3
      }
      _ = state.decide(.prepare(view), logged: { _ in nil })
      count += 1
    }
    return count
  }

  // MARK: The client's side

  /// Any answers and events in any order, from any server, honest or not.
  @Test func aCoordinatorBearsAnyAnswer() {
    var random = SplitMix64(seed: 53)
    var (appended, led) = (0, 0)
    for _ in 0..<4_000 {
      var world = AnyWorld(&random)
      for _ in 0..<60 { world.step(&random) }
      appended += world.appended
      led += world.coordinator.phase == .leading ? 1 : 0
    }
    // The walk gets somewhere: views are taken and changes sent.
    #expect(led > 100 && appended > 100, "\(led) led, \(appended) changes")
  }

  /// One server says every extreme in the place of every number, in every kind of answer; the three others
  /// go on.
  @Test func oneServerThatTellsExtremesStopsNobody() {
    for number in Self.numbers where number > 1 << 25 {
      for kind in 0..<8 {
        let lie: (NamespaceReply) -> NamespaceReply = { reply in
          Self.lie(kind, number, in: reply)
        }
        var bench = Bench()
        bench.takeView()
        bench.append()
        bench.lies[ServerIndex(1)] = lie
        var other = bench.other(2)
        other.coordinator.saw(bench.coordinator.view)
        for _ in 0..<3 {
          other.takeView()
          guard other.coordinator.phase == .leading else {
            Issue.record("kind \(kind), \(number): \(other.told.suffix(2))")
            break
          }
          other.append()
        }
        #expect(other.coordinator.head.number == 4, "kind \(kind), \(number)")
        #expect(other.coordinator.view.round < 100, "kind \(kind), \(number)")
      }
    }
  }

  /// A server that alone has the last change, and whose log is nonsense, is asked for it a few times for
  /// the others, not for ever.
  @Test func aSourceThatTellsExtremesIsNotAskedForEver() {
    for number in Self.numbers where number > Limits.number {
      var bench = Bench()
      bench.takeView()
      bench.append()
      bench.silent = .of(1, 2, 3)
      bench.append([.note("b", 1)])
      var other = bench.other(2)
      other.coordinator.saw(bench.coordinator.view)
      // The hostile one is heard first.
      var queue = Array(other.coordinator.takeView(reachable: .all).reversed())[...]
      var asked = 0
      for _ in 0..<1000 {
        guard let action = queue.popFirst() else { break }
        guard case .send(let server, let request, let token) = action else { continue }
        var reply = other.answer(request, by: server)
        if case .log = request, server == ServerIndex(3) {
          asked += 1
          reply = Self.lie(6, number, in: reply)
        }
        queue += other.coordinator.receive(reply, token: token)
      }
      #expect(queue.isEmpty && (1...8).contains(asked), "asked \(asked) times, \(number)")
    }
  }

  private static func lie(
    _ kind: Int, _ number: UInt64, in reply: NamespaceReply
  ) -> NamespaceReply {
    func head(_ head: Head, _ round: UInt64? = nil) -> Head {
      let view = View(
        round: round ?? head.view.round, client: head.view.client, namespace: head.view.namespace)
      return Head(view: view, number: number, digest: head.digest)
    }
    return switch (kind, reply) {
    case (0, .promised(let told)): .promised(head(told))
    case (1, .promised(let told)): .promised(head(told, number))
    case (2, .installed(let told)): .installed(head(told))
    case (3, .installed(let told)): .behind(head(told))
    case (4, .applied(let told)): .applied(head(told))
    case (5, .applied(let told)): .behind(head(told))
    case (6, .log(let base, let entries, let told)):
      .log(
        base: base,
        entries: entries.map { LogEntry(number: number, change: $0.change, digest: $0.digest) },
        head: head(told))
    case (7, .promised), (7, .installed), (7, .applied):
      .refused(View(round: number, client: ClientID(9)))
    default: reply
    }
  }
}

/// A coordinator to which anything happens.
private struct AnyWorld {
  var coordinator: Coordinator
  /// Messages that were not answered.
  private var open: [(server: ServerIndex, request: NamespaceRequest, token: UInt64)] = []
  private(set) var appended = 0
  private static let namespaces = [NamespaceID(high: 0, low: 1), NamespaceID(high: 0, low: 2), nil]
  private static let numbers: [UInt64] = [
    0, 1, 2, 3, 1 << 24, Limits.number - 2, Limits.number - 1, Limits.number, .max - 1, .max,
  ]

  init(_ random: inout SplitMix64) {
    coordinator = Coordinator(
      client: ClientID(1), namespace: Self.namespaces.randomElement(using: &random) ?? nil)
  }

  private func number(_ random: inout SplitMix64) -> UInt64 {
    // Most often one that goes on, so that views are taken.
    if Bool.random(using: &random) { return coordinator.head.number }
    return Self.numbers.randomElement(using: &random) ?? 0
  }

  private func view(_ random: inout SplitMix64) -> View {
    if Int.random(in: 0..<3, using: &random) > 0 { return coordinator.view }
    let round = Self.numbers.randomElement(using: &random) ?? 0
    return View(
      round: round, client: ClientID(.random(in: 0...2, using: &random)),
      namespace: Self.namespaces.randomElement(using: &random) ?? nil)
  }

  private func head(_ random: inout SplitMix64) -> Head {
    let digest =
      Bool.random(using: &random) ? coordinator.head.digest : RowDigest(high: 0, low: 7)
    return Head(view: view(&random), number: number(&random), digest: digest)
  }

  private func reply(
    to request: NamespaceRequest, _ random: inout SplitMix64
  ) -> NamespaceReply {
    if Int.random(in: 0..<4, using: &random) == 0 { return anyReply(&random) }
    switch request {
    case .prepare:
      let before = Bool.random(using: &random) ? View.none : View(round: 1, client: ClientID(2))
      return .promised(
        Head(view: before, number: number(&random), digest: coordinator.head.digest))
    case .install(_, _, _, let to): return .installed(to)
    case .apply(let view, let number, _):
      return .applied(Head(view: view, number: number, digest: RowDigest(high: 0, low: number)))
    case .log, .head: return anyReply(&random)
    }
  }

  private func anyReply(_ random: inout SplitMix64) -> NamespaceReply {
    switch Int.random(in: 0..<9, using: &random) {
    case 0: return .promised(head(&random))
    case 1: return .installed(head(&random))
    case 2: return .applied(head(&random))
    case 3: return .behind(head(&random))
    case 4: return .refused(view(&random))
    case 5: return .missingParts([])
    case 6: return .head(head(&random))
    case 7: return .foreign(head(&random))
    default:
      let first = number(&random)
      let entries = (0..<UInt64.random(in: 0...3, using: &random)).map { index in
        let id = ChangeID(client: ClientID(1), sequence: index)
        return LogEntry(
          number: first &+ index, change: Change(id: id, writes: []), digest: .empty)
      }
      return .log(
        base: Bool.random(using: &random) ? .empty : nil, entries: entries, head: head(&random))
    }
  }

  private mutating func take(_ actions: [Coordinator.Action]) {
    for case .send(let server, let request, let token) in actions {
      open.append((server, request, token))
    }
  }

  mutating func step(_ random: inout SplitMix64) {
    if !open.isEmpty, Int.random(in: 0..<10, using: &random) < 7 {
      let index = Int.random(in: 0..<open.count, using: &random)
      let message = open.remove(at: index)
      take(
        coordinator.receive(reply(to: message.request, &random), token: message.token))
      return
    }
    event(&random)
  }

  private mutating func event(_ random: inout SplitMix64) {
    let server = ServerIndex(.random(in: 0..<4, using: &random))
    switch Int.random(in: 0..<14, using: &random) {
    case 0: coordinator.saw(view(&random))
    case 1:
      if let id = Self.namespaces.randomElement(using: &random) ?? nil { coordinator.learn(id) }
    case 2: if let message = open.popLast() { take(coordinator.undelivered(token: message.token)) }
    case 3:
      let head = Bool.random(using: &random) ? nil : head(&random)
      take(coordinator.refilled(server, head: head))
    case 4: take(coordinator.retry(reachable: .all))
    case 5: take(coordinator.reconnected(server))
    case 6: coordinator.forget()
    case 7: take(coordinator.refuseTruth())
    default:
      guard coordinator.phase == .leading, !coordinator.hasOpenChange else {
        if coordinator.phase == .idle { take(coordinator.takeView(reachable: .all)) }
        return
      }
      appended += 1
      take(coordinator.append([.note("a", 1)]))
    }
    _ = (coordinator.lagging, coordinator.lacking, coordinator.goal, coordinator.loneWitness)
  }
}
