/// Whether read leases are worth having: they save a client questions, and cost it an answer, and the others a
/// wait, for each change that others make (the ratio of reads and writes of Gray and Cheriton, section 3).
public struct LeaseWorth<Instant: InstantProtocol & Sendable>: Sendable
where Instant.Duration == Duration {
  /// Leases that were not used for so long are given up.
  private let idle: Duration
  /// Leases that did not pay are not asked for again for so long.
  private let rest: Duration
  private let period: Duration
  /// Fewer changes of others than this in a period are not counted.
  private static var ignored: Int { 8 }

  private var used: Instant?
  private var began: Instant?
  private var uses = 0
  private var told = 0
  private var restsUntil: Instant?

  /// Nothing was counted yet.
  public init(_ term: LeaseTerm) {
    (period, idle, rest) = (term.trusted * 2, term.trusted * 4, term.trusted * 10)
  }

  /// A question was saved, or would have been with leases.
  /// - Returns: whether leases are to be asked for.
  public mutating func use(at now: Instant) -> Bool {
    turn(now)
    uses += 1
    used = now
    return !isResting(now)
  }

  /// One server has told of a change of others.
  public mutating func tell(at now: Instant) {
    turn(now)
    told += 1
  }

  /// Whether leases are to be given up now.
  public mutating func isOver(at now: Instant) -> Bool {
    turn(now)
    if isResting(now) { return true }
    return used.map { $0.advanced(by: idle) <= now } ?? true
  }

  private func isResting(_ now: Instant) -> Bool { restsUntil.map { now < $0 } ?? false }

  /// Judges the period that has ended, if one has. Each change is told by up to four servers.
  private mutating func turn(_ now: Instant) {
    guard let began, now < began.advanced(by: period) else {
      if began != nil, told > 4 * max(Self.ignored, 2 * uses) {
        restsUntil = now.advanced(by: rest)
      }
      (began, uses, told) = (now, 0, 0)
      return
    }
  }
}
