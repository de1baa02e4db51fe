/// Since when changes are known to be on three servers, as long as the process lives: the time in which
/// others may ask this server for what it keeps for them does not go on while it is stopped or cut off.
///
/// Invariant: numbers and times go up.
struct CommittedHistory: Sendable {
  private var notes: [(seconds: Int64, number: UInt64)] = []

  /// Every change up to `number` is known to be on three servers by now.
  /// - Returns: the greatest number of which that has been known for `age` seconds; 0 if of none.
  mutating func note(_ number: UInt64, nowSeconds: Int64, age: Int64) -> UInt64 {
    // The clock was set back, or rows were replaced by older ones.
    notes.removeAll { $0.seconds > nowSeconds || $0.number > number }
    if notes.last.map({ $0.number < number }) ?? true { notes.append((nowSeconds, number)) }
    // One that is old enough tells more than those before it.
    if let last = notes.lastIndex(where: { $0.seconds <= nowSeconds - age }) {
      notes.removeFirst(last)
      return notes[0].number
    }
    return 0
  }
}
