/// A promise that was not kept.
struct Problem: Sendable {
  enum Kind: String, Sendable {
    /// What was acknowledged is not there at the end.
    case lost
    /// Bytes that nobody wrote, or of two contents.
    case wrong
    case notLinearizable
    /// A history too tangled to be judged within the limit of the search.
    case undecided
    /// A call on a mount that took too long, or a process that ended by itself.
    case other
  }

  let kind: Kind
  let text: String

  init(_ kind: Kind, _ text: String) { (self.kind, self.text) = (kind, text) }
}
