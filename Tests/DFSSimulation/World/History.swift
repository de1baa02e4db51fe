internal import DFSCore
internal import DFSReplication

/// What clients were told, and whether it can be true: everything is replayed in the order of the
/// change numbers on which the servers agree at the end.
final class History {
  /// What a change wanted to do, checked where it stands in the order.
  enum Intent: Hashable {
    case increment([RowKey])
    case create(RowKey)
    case delete(RowKey)
    case publish(RowKey, RowContent)
    case place(RowKey, from: RowContent)
  }

  enum Outcome {
    /// The change is number so and so.
    case committed(ChangeID, number: UInt64)
    /// The rows at a head that was judged to be the truth.
    case observed([RowKey], [RowKey: Row], Head)
    /// Rows from a cache.
    case cached([RowKey], [RowKey: Row])

    var isChange: Bool { if case .committed = self { true } else { false } }
  }

  private struct Told {
    let slot: Int
    let began: Int
    let ended: Int
    let outcome: Outcome
    let isDurable: Bool
  }

  private struct Attempt {
    let intent: Intent
    let began: Int
  }

  private var told: [Told] = []
  private var attempts: [ChangeID: Attempt] = [:]
  private var dropped: Set<ChangeID> = []
  /// When all lost what was not synced, the last time.
  private var powerLost: Int?

  func attempted(_ id: ChangeID, _ intent: Intent, began: Int) {
    attempts[id] = Attempt(intent: intent, began: began)
  }

  func dropped(_ id: ChangeID) { dropped.insert(id) }

  func powerLost(at now: Int) { powerLost = now }

  /// - Parameter isDurable: whether it was told to be on stable storage.
  func ended(_ outcome: Outcome, slot: Int, began: Int, at now: Int, isDurable: Bool) {
    told.append(
      Told(slot: slot, began: began, ended: now, outcome: outcome, isDurable: isDurable))
  }

  /// What was told before all lost power, and was not on stable storage, may be gone.
  private func mayBeGone(_ told: Told) -> Bool {
    !told.isDurable && told.began <= powerLost ?? -1
  }

  // MARK: Judging

  /// What is wrong; nil if all is right.
  func problem(in state: SimulatedDisk.State) -> String? {
    let replay = Replay(state.archive)
    return changesProblem(state.archive, replay) ?? orderProblem(replay)
  }

  private func changesProblem(_ archive: [Change], _ replay: Replay) -> String? {
    var seen: Set<ChangeID> = []
    for (index, change) in archive.enumerated() {
      let name = "change \(index + 1) (\(change.id.sequence) of client \(change.id.client.value))"
      guard seen.insert(change.id).inserted else { return "\(name) is there twice" }
      guard let attempt = attempts[change.id] else { return "nobody made \(name)" }
      if dropped.contains(change.id) { return "\(name) was said to be dropped" }
      if let problem = replay.problem(attempt.intent, at: UInt64(index + 1)) {
        return "\(name): \(problem)"
      }
    }
    return nil
  }

  /// Every answer belongs to a moment of the replay; an operation that began after another one had
  /// ended must not belong to an earlier moment.
  private func orderProblem(_ replay: Replay) -> String? {
    var moments: [(ended: Int, moment: UInt64)] = []
    // In the order of their ends: what an answer must not precede ended before it began.
    for answer in told.sorted(by: { $0.ended < $1.ended }) where !mayBeGone(answer) {
      let before = moments.prefix { $0.ended < answer.began }
      switch place(answer, after: before.map(\.moment).max() ?? 0, replay) {
      case .failure(let problem): return problem.text
      case .success(let number): moments.append((answer.ended, number))
      }
    }
    return nil
  }

  private struct Problem: Error { let text: String }

  private func place(
    _ answer: Told, after floor: UInt64, _ replay: Replay
  ) -> Result<UInt64, Problem> {
    let when = "client \(answer.slot), \(answer.began) to \(answer.ended): "
    func wrong(_ text: String) -> Result<UInt64, Problem> { .failure(Problem(text: when + text)) }
    switch answer.outcome {
    case .committed(let id, let number):
      guard replay.change(number)?.id == id else {
        return wrong("acknowledged change \(number) is not there")
      }
      guard number > floor else { return wrong("change \(number) comes after \(floor)") }
      return .success(number)
    case .observed(let keys, let rows, let head):
      guard number(of: head, in: replay) else {
        return wrong("the head \(head) that was read is not there")
      }
      guard head.number >= floor else { return wrong("read \(head.number) after \(floor)") }
      for key in keys where replay.row(key, at: head.number) != rows[key] {
        return wrong("read a row that is not of change \(head.number)")
      }
      return .success(head.number)
    case .cached(let keys, let rows):
      guard let number = replay.first(from: floor, where: keys, are: rows) else {
        return wrong("cached rows \(rows.values.map(\.change)) were not current after \(floor)")
      }
      return .success(number)
    }
  }

  private func number(of head: Head, in replay: Replay) -> Bool {
    replay.digest(at: head.number) == head.digest
  }
}
