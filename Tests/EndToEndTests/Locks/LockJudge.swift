/// Whether a history of locks keeps what is promised of them.
///
/// - No two processes have locks at once for sure that exclude each other.
/// - Under a lock a record is what was written to it last. Exclusive locks put all that is written in one order, so
///   there is one such number; but after these there are several, until one is read:
///   - A write whose end is not known (the process was killed in it), or that failed, is there or not; or half of it,
///     where pages meet.
///   - Of a mount that was killed, or stood still, any number is there that was written through it since the record was
///     last stored, or what was stored then. It is stored when fsync or close has returned, or another mount has had a
///     lock of it. A read or write while the mount did so, or later under the same lock, is judged only by what it
///     leaves: nothing, or what was written.
///   - A process that is killed takes nothing along of what was written before.
/// - Who is refused at once, or finds a lock by F_GETLK, is so because of another who has, or waits for, such a lock,
///   or asks for one; who finds none is alone while that call lasts.
/// - Nobody fails but on a mount that was killed (ENOTCONN, ECONNABORTED) or stood still (EIO); or by EDEADLK. What goes
///   on after its mount stood still writes nothing under a lock that others got meanwhile.
struct LockJudge {
  struct Violation: Equatable, CustomStringConvertible {
    enum Kind { case twoHolders, wrongNumber, tornNumber, lateWrite, refused, found, failed, stuck }
    let kind: Kind
    let description: String

    static func == (one: Violation, other: Violation) -> Bool { one.kind == other.kind }
  }

  private let history: LockHistory
  private let holds: LockHolds
  private let faults: [LockHistory.Fault]
  private(set) var violations: [Violation] = []

  init(_ history: LockHistory) {
    self.history = history
    holds = LockHolds(history)
    faults = history.faults.sorted { $0.begin < $1.begin }
    for holds in Dictionary(grouping: holds.all, by: \.place).values {
      let inOrder = holds.sorted { $0.granted < $1.granted }
      judgeExclusion(inOrder)
      judgeLateWrites(inOrder)
      judgeNumbers(inOrder)
    }
    judgeAnswers()
    judgeFailures()
  }

  // MARK: Exclusion

  private mutating func judgeExclusion(_ holds: [LockHold]) {
    var open: [LockHold] = []
    for hold in holds where hold.granted < hold.held {
      open.removeAll { $0.held <= hold.granted }
      for other in open where other.excludes(hold) {
        report(.twoHolders, "\(text(other)) and \(text(hold)) held it at once")
      }
      open.append(hold)
    }
  }

  /// Of a mount that stood still: what its processes wrote when others had got the lock.
  private mutating func judgeLateWrites(_ holds: [LockHold]) {
    for hold in holds {
      guard let doubt = hold.doubt,
        let fault = faults.first(where: { $0.begin == doubt }), fault.kind == .frozen
      else { continue }
      var isUnstored = false
      for use in hold.uses where use.end != nil {
        switch use.kind {
        case .read: continue
        case .write: isUnstored = true
        case .stored:
          // Also of who has written nothing.
          guard isUnstored else { continue }
          isUnstored = false
        }
        guard use.begin > fault.end else { continue }
        let next = holds.first {
          $0.excludes(hold) && $0.mount != hold.mount && $0.granted > hold.granted
            && $0.granted < use.begin
        }
        if let next {
          report(
            .lateWrite,
            "\(text(hold)): \(use.kind) at \(use.begin) succeeded, though \(text(next)) had got the lock"
          )
        }
      }
    }
  }

  // MARK: Numbers

  /// What a record may be.
  private struct Numbers {
    var possible: Set<UInt64> = [0]
    /// When it was stored last; and what was written since, through one mount.
    var stored: Set<UInt64> = [0]
    var since: [UInt64] = []
    var mount = ""
    /// A write of which it is not known whether it was done may have been done to the end of a page: the kernel hands
    /// it on in two.
    var mayBeTorn = false

    mutating func store() { (stored, since) = (possible, []) }

    mutating func lose() {
      possible.formUnion(stored)
      possible.formUnion(since)
    }
  }

  private mutating func judgeNumbers(_ holds: [LockHold]) {
    var numbers = Numbers()
    var faults = faults[...]
    for hold in holds {
      while let fault = faults.first, fault.begin <= hold.granted {
        if self.holds.mount(fault.mount, at: fault.begin) == numbers.mount { numbers.lose() }
        faults.removeFirst()
      }
      if hold.mount != numbers.mount {
        numbers.store()
        numbers.mount = hold.mount
      }
      judge(hold, &numbers)
    }
  }

  private mutating func judge(_ hold: LockHold, _ numbers: inout Numbers) {
    var last: UInt64?
    for use in hold.uses {
      let isCertain = use.end.map { $0 <= hold.doubt ?? .max } ?? false
      switch use.kind {
      case .read(nil):
        if !numbers.mayBeTorn || !hold.place.isOnTwoPages {
          report(.tornNumber, "\(text(hold)) read a mixture at \(use.begin)")
        }
      case .read(let value?):
        guard isCertain else { continue }
        if !numbers.possible.contains(value) {
          report(
            .wrongNumber,
            "\(text(hold)) read \(value) at \(use.begin), not \(numbers.possible.sorted())")
        }
        numbers.possible = [value]
      case .write(let value):
        numbers.possible = isCertain ? [value] : numbers.possible.union([value])
        numbers.mayBeTorn = !isCertain
        numbers.since.append(value)
        last = use.end == nil ? nil : value
      case .stored:
        if let last, !isCertain { numbers.possible = [last] }
        if isCertain || last != nil { numbers.store() }
      }
    }
  }

  // MARK: Answers

  private mutating func judgeAnswers() {
    let holds = Dictionary(grouping: holds.all, by: \.place.file)
    let claims = Dictionary(grouping: holds.isEmpty ? [] : self.holds.claims, by: \.file)
    for (number, life) in history.lives.enumerated() {
      for step in life.steps {
        guard let end = step.end else { continue }
        let (of, claimed) = (holds[step.file] ?? [], claims[step.file] ?? [])
        switch step.call {
        case .lock(let exclusive, true, _) where step.result == "EAGAIN":
          if !isExplained(number, step.records, exclusive, step.begin...end, of, claimed) {
            report(.refused, "process \(number) was refused \(step.records) at \(step.begin)")
          }
        case .find(let exclusive) where step.isDone:
          judgeFound(step, exclusive, number, end, of, claimed)
        default: break
        }
      }
    }
  }

  private mutating func judgeFound(
    _ step: LockHistory.Step, _ exclusive: Bool, _ life: Int, _ end: UInt64, _ holds: [LockHold],
    _ claims: [LockClaim]
  ) {
    if step.words.first == "none" {
      let other = holds.first {
        $0.life != life && (exclusive || $0.isExclusive) && step.records.contains($0.place.record)
          && $0.granted <= step.begin && $0.held >= end
      }
      if let other {
        report(.found, "process \(life) found no lock at \(step.begin), but \(text(other)) had one")
      }
      return
    }
    guard step.words.count == 3, let first = Int(step.words[1]), let count = Int(step.words[2]),
      count > 0, exclusive || step.words[0] == "write",
      step.records.overlaps(first..<first + count),
      isExplained(
        life, first..<first + count, step.words[0] == "read", step.begin...end, holds, claims)
    else {
      return report(
        .found, "process \(life) found \(step.words) at \(step.begin), which nobody had")
    }
  }

  /// Whether another had, or waited for, a lock of some of these records.
  private func isExplained(
    _ life: Int, _ records: Range<Int>, _ exclusive: Bool, _ time: ClosedRange<UInt64>,
    _ holds: [LockHold], _ claims: [LockClaim]
  ) -> Bool {
    holds.contains {
      $0.life != life && (exclusive || $0.isExclusive) && records.contains($0.place.record)
        && $0.asked <= time.upperBound && $0.gone >= time.lowerBound
    }
      || claims.contains {
        $0.life != life && (exclusive || $0.isExclusive) && records.overlaps($0.records)
          && $0.begin <= time.upperBound && $0.end >= time.lowerBound
      }
  }

  // MARK: Failures

  private mutating func judgeFailures() {
    for (number, life) in history.lives.enumerated() {
      for step in life.steps {
        guard let result = step.result, let end = step.end, !isAllowed(result, step, life, end)
        else { continue }
        report(
          result == "STUCK" ? .stuck : .failed,
          "process \(number): \(step.call) of \(step.records) in file \(step.file), \(step.begin) to \(end): \(result)"
        )
      }
    }
  }

  private func isAllowed(
    _ result: String, _ step: LockHistory.Step, _ life: LockHistory.Life, _ end: UInt64
  ) -> Bool {
    func isAfter(_ kind: LockHistory.Fault.Kind) -> Bool {
      faults.contains {
        $0.kind == kind && $0.mount == life.mount && $0.begin <= end
          && step.begin <= $0.end + LockHolds.mountGrace
      }
    }
    switch (result, step.call) {
    case ("ok", _), ("EDEADLK", .lock), ("EAGAIN", .lock(_, true, _)): return true
    case ("EIO", _): return isAfter(.frozen)
    case ("ENOTCONN", _), ("ECONNABORTED", _), ("EIO", _), ("ENOENT", .open):
      return isAfter(.killed)
    default: return false
    }
  }

  // MARK: Words

  private mutating func report(_ kind: Violation.Kind, _ text: String) {
    violations.append(Violation(kind: kind, description: "\(kind): \(text)"))
  }

  private func text(_ hold: LockHold) -> String {
    let kind = hold.isExclusive ? "exclusive" : "shared"
    return
      "process \(hold.life) on \(hold.mount.split(separator: "/").last ?? ""), \(kind) lock of record "
      + "\(hold.place.record) of file \(hold.place.file) from \(hold.granted) to \(hold.held)"
  }
}
