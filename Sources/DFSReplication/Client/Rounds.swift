public import DFSCore

/// The rounds of views that servers tell, and which of them a client takes up: pure values.
///
/// A round must be greater than all before it, so one server that tells an absurd one could have a client carry
/// it to the honest servers, until no greater one is left and the user can never write again.
///
/// Invariant: a round counts only if it is at most `leap` beyond what two servers have told, or this client has
/// used itself. Rounds grow by one with each view that is taken, so an honest server is never so far ahead alone.
public struct Rounds: Hashable, Sendable {
  /// So many views are taken in half a year, if one is taken each second.
  public static let leap: UInt64 = 1 << 24

  /// What each server told last.
  private var told = [UInt64](repeating: 0, count: Limits.serverCount)
  /// The greatest round that counts.
  public private(set) var highest: UInt64 = 0

  /// No round was told or used yet.
  public init() {}

  /// The round of a view that is to be later than all others.
  public var next: UInt64 { min(highest, .max - 1) + 1 }

  /// - Returns: whether the round counts.
  @discardableResult
  public mutating func heard(_ round: UInt64, from server: ServerIndex) -> Bool {
    told[server.value] = round
    if round <= highest { return true }
    // What one server told before may count now that another one tells something like it.
    for round in told where isPlausible(round) { highest = max(highest, round) }
    return isPlausible(round)
  }

  /// This client knows of the round by other means.
  public mutating func use(_ round: UInt64) { highest = max(highest, round) }

  private func isPlausible(_ round: UInt64) -> Bool {
    let second = told.sorted().dropLast().last ?? 0
    return Self.isPlausible(round, beyond: max(highest, second))
  }

  /// Whether an honest server may be at `number` when others are at `other`; of changes, too.
  public static func isPlausible(_ number: UInt64, beyond other: UInt64) -> Bool {
    number <= other || number - other <= leap
  }
}
