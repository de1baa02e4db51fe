public import DFSCore

/// One server's side of the namespace protocol, decided as pure values: what a server does with a
/// request, given what it has on disk. DFSStore performs the decision in one transaction; the
/// simulation performs it in memory.
///
/// Invariants:
/// - `promised` never goes back, and is on stable storage before it is answered.
/// - A view is installed once, and only at rows that are exactly those named.
/// - A change is accepted only in the installed view, which must also be the promised one, and only
///   as the number that follows the head's.
/// - Nothing of another namespace is promised, installed or applied. A blank server joins the first one
///   whose view it installs; rows without a namespace (of a release before 1.1) are taken over as they
///   are, never replaced.
public struct Replica: Hashable, Sendable {
  /// The greatest view that was promised; nothing of an earlier one is accepted.
  public var promised: View
  /// The head of the rows that it has.
  public var head: Head

  /// What a server has on disk; without arguments a blank one.
  public init(promised: View = .none, head: Head = .blank) {
    self.promised = promised
    self.head = head
  }

  /// A blank server (new, or its disk replaced) has no vote until a view is installed on it.
  public var isBlank: Bool { head.view == .none }

  /// Whose rows these are; nil for a blank server, and for rows of a release before 1.1.
  public var namespace: NamespaceID? { head.view.namespace }

  private func isForeign(_ view: View) -> Bool {
    namespace != nil && view.namespace != namespace
  }

  /// What to do, in one transaction, before answering.
  public enum Decision: Hashable, Sendable {
    /// Store this promise, on stable storage.
    case promise(View)
    /// Apply `changes` from number head.number + 1; the digest must then be that of `to`, else
    /// nothing happens (`Replica.mismatch`). Store promise and view, on stable storage.
    case install(View, changes: [Change], to: Head)
    /// Apply the change as `number`; stable storage may follow later.
    case append(number: UInt64, Change)
    /// Nothing to store; answer this.
    case answer(NamespaceReply)
  }

  /// Decides `request`.
  /// - Parameter logged: the log entry with a given number, nil where the log has none (any more).
  public func decide(_ request: NamespaceRequest, logged: (UInt64) -> LogEntry?) -> Decision {
    if let view = request.view, isForeign(view) { return .answer(.foreign(head)) }
    return switch request {
    case .prepare(let view): decidePrepare(view)
    case .install(let view, let from, let changes, let to):
      decideInstall(view, from: from, changes: changes, to: to)
    case .apply(let view, let number, let change):
      decideApply(view, number: number, change, logged: logged)
    case .log, .head: .answer(.head(head))
    }
  }

  /// Whether all rows may be replaced and `view` installed on them (a transfer, for a server whose
  /// rows cannot be caught up by changes). Nil if so, else the answer.
  public func refusalOfTransfer(_ view: View) -> NamespaceReply? {
    // Rows without a namespace would be lost, and nothing says that the others have them.
    if !isBlank, namespace != view.namespace { return .foreign(head) }
    if view < promised { return .refused(promised) }
    return head.view == view ? .installed(head) : nil
  }

  /// Why a view cannot be one that clients came to by taking views one after the other; nil if it can.
  /// A request that names one that cannot fails: with the last rounds promised, nobody could make a view change
  /// any more.
  public func leap(to view: View) -> DFSError? {
    guard view.round > promised.round, view.round - promised.round > Limits.roundsAhead else {
      return nil
    }
    return DFSError(
      .outOfRange,
      "round \(view.round) is more than \(Limits.roundsAhead) ahead of \(promised.round), the last "
        + "that was promised here; the server that told it is not to be trusted")
  }

  private func decidePrepare(_ view: View) -> Decision {
    if view > promised { return .promise(view) }
    // The same prepare again, its view not installed yet: the same answer.
    if view == promised, head.view != view { return .answer(.promised(head)) }
    return .answer(.refused(promised))
  }

  private func decideInstall(_ view: View, from: Head, changes: [Change], to: Head) -> Decision {
    if view < promised { return .answer(.refused(promised)) }
    // A late copy of an install never undoes what was appended since.
    if head.view == view { return .answer(.installed(head)) }
    guard head.hasSameRows(as: from), to.number >= from.number,
      to.number - from.number == UInt64(changes.count)
    else {
      return .answer(.behind(head))
    }
    return .install(view, changes: changes, to: to)
  }

  private func decideApply(
    _ view: View, number: UInt64, _ change: Change, logged: (UInt64) -> LogEntry?
  ) -> Decision {
    guard promised == view else { return .answer(.refused(promised)) }
    guard head.view == view else { return .answer(.behind(head)) }
    if number > head.number {
      return number - head.number == 1
        ? .append(number: number, change) : .answer(.behind(head))
    }
    guard let entry = logged(number), entry.change.id == change.id else {
      return .answer(.refused(promised))
    }
    return .answer(.applied(Head(view: view, number: number, digest: entry.digest)))
  }
}
