/// How old the answer to a question about the namespace may be.
public enum Freshness: Sendable, Hashable {
  /// A cached answer is good as long as servers push changes.
  case pushed
  /// So is one that something is there; that it is not there is asked for anew.
  case pushedIfThere
  /// The answer has every change that was acknowledged before the call.
  case current
  /// So has this one; some servers were asked already how current they are.
  case currentAsKnown(by: AskedHeads)
}
