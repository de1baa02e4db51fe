internal import DFSClient
internal import DFSCore
internal import DFSSystem
internal import Glibc
internal import Logging
internal import Synchronization

/// A file while it is open here, shared by all its handles: the version that was opened and, once
/// it is written, a spool that lies over it.
///
/// Invariants:
/// - Reads come from the spool if there is one, and what it lacks from the version below; else from `base`.
/// - A spool lies over `base`, or over the version of another file that it is a copy of, or lacks nothing. It is
///   truncated, takes what was fetched, and is published, only with the lock to itself, or when nobody can write any more.
final class OpenFile: Sendable {
  let id: InodeID
  let context: FileContext
  let lock = AsyncLock()
  let pages = PagesInFlight()
  let state: Mutex<State>

  init(_ inode: Inode, context: FileContext, pages: PageUse) {
    id = inode.id
    self.context = context
    state = Mutex(
      State(
        inode: inode, base: inode.version, pages: pages, modified: inode.modified,
        changed: inode.changed, place: context.nodes.name(of: inode.id)))
    if let version = inode.version { pin(version) }
  }

  /// A file that was just made here: it has an empty content that is still to be published.
  init(created inode: Inode, as name: Name = .named, context: FileContext) {
    id = inode.id
    self.context = context
    var state = State(
      inode: inode, name: name,
      content: .changed(Spool(budget: context.spools), .untried, isKept: false),
      modified: inode.modified, changed: inode.changed)
    state.lacksCapability = true
    self.state = Mutex(state)
  }

  /// `State.cutOff`.
  var cutOff: DFSError? { state.withLock { $0.cutOff } }
  var unlessCutOff: OpenFile? { cutOff == nil ? self : nil }
  var isDirty: Bool { state.withLock { $0.isDirty } }
  var isPublishing: Bool { state.withLock { $0.isPublishing } }
  var lastFailure: DFSError? { state.withLock { $0.lastFailure } }

  // MARK: Attributes

  /// `inode` with the local changes that are not published yet; if it is of another version than
  /// the one that was opened here, with the size of that one.
  func overlay(_ inode: Inode) -> Attributes {
    state.withLock { state in
      var attributes = Attributes(inode)
      let isOther = state.base?.id != inode.version?.id || state.sizeOfPages != nil
      attributes.lifetime = context.kernel.lifetime(of: state, isOther: isOther)
      if state.cutOff != nil { return attributes }
      // The kernel has one size for the file, and cuts or fills up with it what handles read.
      if isOther {
        attributes.size = state.size
        attributes.stored = state.base?.storedBytes ?? state.size
      }
      guard state.isDirty || state.isLocal, let spool = state.spool else { return attributes }
      attributes.size = spool.size
      attributes.stored = spool.storedBytes
      attributes.inode.perform(state.deferred, at: inode.changed)
      attributes.inode.modified = state.modified
      attributes.inode.changed = max(inode.changed, state.changed)
      return attributes
    }
  }

  /// Bytes that a handle of this file reads.
  var size: UInt64 { state.withLock { $0.size } }

  /// Bytes that it has, whatever the kernel still has pages of.
  var contentSize: UInt64 { state.withLock { $0.contentSize } }

  /// The attributes from here alone, for a file without a name.
  var ownAttributes: Attributes { overlay(state.withLock { $0.inode }) }

  /// Notes what a change of attributes or names made of the inode. Its answer may come after that of
  /// a publish that was made later: what is known of the content stays.
  /// - Parameter inode: of `target`, as it was when the change was asked for.
  func learn(_ inode: Inode, modified: Timestamp?) {
    state.withLock { state in
      // Since then it goes on in another.
      guard inode.id == state.continuation ?? id else { return }
      let known = state.inode
      state.learn(inode, as: id)
      state.inode.version = known.version
      state.inode.modified = modified ?? known.modified
      state.inode.changed = max(inode.changed, known.changed)
      state.learned += 1
      if let modified { state.modified = modified }
    }
  }

  /// Changes the attributes of a file without a name, here only.
  func change(_ change: AttributeChange) -> Attributes {
    state.withLock { state in
      state.inode.perform(change, at: .now)
      state.modified = change.modified ?? state.modified
    }
    return ownAttributes
  }

  func markRemoved() {
    state.withLock { state in
      state.name = .removed
      state.deferred = .nothing
      state.inode.links = 0
    }
  }

  // MARK: Published by others

  /// `State.steps`.
  var steps: UInt64 { state.withLock { $0.steps } }

  /// Whether an inode has a newer version than this, which could go on with it.
  /// - Parameter inode: as it is now.
  func isBehind(_ inode: Inode) -> Bool {
    guard let version = inode.version?.id else { return false }
    return state.withLock { $0.isAsPublished && $0.base?.id != version }
  }

  /// Whether it is a version, without any change.
  func isPublished(as version: VersionID?) -> Bool {
    state.withLock { $0.isAsPublished && $0.base?.id == version }
  }

  /// Goes on with the version that an inode has now. With the lock; `dropOldPages` is to follow, without it.
  /// - Parameter readers: its handles, if it may only with these: all for reading only, and all at the end of what it
  ///   was. Nil: whoever has it open, for what is read next was perhaps written under a lock that is held here now.
  /// - Returns: false if there are changes that were not published, over another version.
  @discardableResult
  func goOn(with inode: Inode, readers: Int? = nil) -> Bool {
    guard isBehind(inode), let version = inode.version else {
      return state.withLock { state in
        !state.isDirty || state.finalFailure != nil || state.base?.id == inode.version?.id
      }
    }
    let (isDone, old) = state.withLock { state -> (Bool, Version?) in
      // It was just closed.
      if state.handles == 0 { return (true, nil) }
      // One that was just opened is not at the end.
      guard state.isAsPublished, readers.map({ $0 == state.handles }) ?? true else {
        return (false, nil)
      }
      let (old, pages) = (state.base?.id, state.pages)
      context.kernel.noteGoingOn(id)
      state.goOn(with: inode, as: id)
      // Its writers go on, past the pages or through them.
      if readers == nil { state.pages = pages }
      // Here, for the last handle may be closed just after.
      if state.held.updateValue(version, forKey: version.id) == nil { context.service.pin(version) }
      return (true, old.flatMap { state.held.removeValue(forKey: $0) })
    }
    if let old { context.service.unpin(old) }
    return isDone
  }

  /// Once the kernel has no pages of a version before, shows the size that the file has. Whoever changed the file
  /// waits for that, so that he sees his own change; and who opens it, so that he reads no bytes with the size of the
  /// version before. Without the lock: what is being written waits for it, and the kernel for that.
  func dropOldPages() async {
    while let steps = state.withLock({ $0.sizeOfPages == nil ? nil : $0.steps }) {
      await context.kernel.dropPages(of: id)
      state.withLock { if $0.steps == steps { $0.sizeOfPages = nil } }
    }
  }

  // MARK: Removed by others

  var isNameless: Bool { state.withLock { $0.isNameless } }

  /// The inode that its content is published to.
  var target: InodeID { state.withLock { $0.continuation } ?? id }

  /// The name by which the kernel knows the file; or knew it last, or by which it was opened: the
  /// kernel lets go of it before the last of what was written is stored, and others take names away. If
  /// it was opened by its number alone, one in the root that says so.
  var place: NodeName? {
    let name = context.nodes.name(of: id)
    let known = state.withLock { state in
      state.place = name ?? state.place
      return state.place
    }
    return known ?? (try? FileName("inode \(id)")).map { NodeName(parent: .root, name: $0) }
  }

  func notePlace(_ place: NodeName) { state.withLock { $0.place = place } }

  /// Another client removed an inode, if it is the one that this is published to.
  func markLost(_ gone: InodeID) { state.withLock { $0.lose(gone, own: id) } }

  /// The inode is there: that it was removed was told by a server that was behind.
  func markFound() {
    state.withLock { if $0.name == .lost(continuedIn: nil) { $0.name = .named } }
  }

  /// The bits of the mode that go when somebody writes: setuid, and setgid of what its group may
  /// execute.
  var privileges: UInt32 {
    let mode = state.withLock { $0.inode.mode }
    return mode & UInt32(S_ISUID) | (mode & UInt32(S_IXGRP) == 0 ? 0 : mode & UInt32(S_ISGID))
  }

  // MARK: Holding

  /// Keeps the copies of a version while the file is open here.
  func hold(_ version: Version) { pin(version) }

  private func pin(_ version: Version) {
    let isNew = state.withLock { state in
      guard state.held[version.id] == nil else { return false }
      state.held[version.id] = version
      return true
    }
    if isNew { context.service.pin(version) }
  }

  /// Keeps the copies of `version`, and of no other any more.
  func hold(only version: Version) {
    pin(version)
    let others = state.withLock { state in
      let others = state.held.values.filter { $0.id != version.id }
      for other in others { state.held[other.id] = nil }
      return others
    }
    for other in others { context.service.unpin(other) }
  }

  /// The last handle is closed.
  func letGo() {
    let held = state.withLock { state in
      defer { state.held = [:] }
      return state.held.values
    }
    for version in held { context.service.unpin(version) }
  }
}
