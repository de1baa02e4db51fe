internal import DFSClient
internal import DFSCore
internal import DFSSystem
internal import Synchronization

/// Attributes that are changed while the file is written: they are published with its content, in one
/// change. So that nobody is kept waiting for them longer than for any other change, only what others
/// cannot miss is deferred: all attributes of a file that was made here and never published, which is
/// empty for all others; of others the times, as writing defers them too.
extension OpenFile {
  /// Defers a change of attributes until the content is published, if that can be.
  /// - Returns: whether it is deferred; and whether it is the first one.
  func deferChange(_ change: AttributeChange) -> (isDeferred: Bool, isFirst: Bool) {
    state.withLock { state in
      let isFirst = state.deferred == .nothing
      let isDeferred = state.deferChange(change, at: .now)
      return (isDeferred, isDeferred && isFirst && state.deferred != .nothing)
    }
  }

  /// What waits for the content to be published.
  var deferredChange: AttributeChange { state.withLock { $0.deferred } }

  /// What was deferred is known to the servers; unless there is more by now.
  func noteMade(_ change: AttributeChange) {
    state.withLock { if $0.deferred == change { $0.deferred = .nothing } }
  }
}

extension OpenFile.State {
  /// - Returns: false if the change must be made at once: nothing is to be published, or it is just
  ///   being, or was in vain, or others see the file already.
  mutating func deferChange(_ change: AttributeChange, at time: Timestamp) -> Bool {
    guard name == .named, case .changed(_, .untried, _) = content, change.accessedBefore == nil,
      base == nil || change.isOfTimes
    else { return false }
    inode.perform(change, at: time)
    modified = change.modified ?? modified
    changed = max(changed, time)
    deferred = deferred.followed(by: change)
    deferred.modified = nil
    return true
  }
}

extension AttributeChange {
  fileprivate var isOfTimes: Bool { mode == nil && owner == nil && group == nil }
}
