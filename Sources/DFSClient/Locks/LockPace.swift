/// How long a client relies on its locks, and waits for others.
///
/// Clocks may go at rates from 0.6 to 1.6: whose locks are removed after `patience` of another clock has not relied on
/// them for a while, since `patience` is more than 1.6 / 0.6 times `trust`.
package struct LockPace: Sendable {
  /// For so long after three servers answered.
  package var trust = Duration.milliseconds(2_500)
  /// For so long another client is waited for that was asked to show that it lives.
  package var patience = Duration.seconds(7)
  /// For so long a client is looked at that was in the way of who only tried: more than `firstQuestion` and `patience`.
  package var oneDoubt = Duration.seconds(20)
  /// How often servers are asked while there are locks.
  package var heartbeat = Duration.milliseconds(500)
  /// So long after a client was seen in the way it is asked.
  package var firstQuestion = Duration.seconds(1)
  /// Who waits looks again so often, whatever is pushed.
  package var look = Duration.seconds(1)
  /// For so long a circle of waits is seen, by what clients tell each other, before one is refused: some of it may be
  /// over.
  package var suspicion = Duration.seconds(2)
  /// A token that was not used for so long is given back.
  package var idle = Duration.seconds(10)

  package init() {}
}
