internal import DFSClient
internal import DFSCore

/// What an open file is. Two questions have one answer each, in two life cycles that do not depend on
/// each other: which name the file has, and how far its content got.
///
/// The name:
/// - `temporary` (O_TMPFILE) becomes `named` when link(2) gives it its first name.
/// - `named` becomes `removed` when its last name goes here, and stays so.
/// - `named` becomes `lost(nil)` when another client removed it. If a server only was behind, it is
///   `named` again when the inode is found.
/// - `lost` becomes `continued` when what was written to it is published, as a file of its own. Another
///   client may remove that one, too: then it is `lost(in)` until it is published again.
/// - `lost` and `continued` become `removed`, as `named` does, if this mount removes them.
///
/// The content:
/// - `opened` becomes `published` when a spool is laid over the version: nothing is changed yet.
/// - `published` becomes `changed(untried)` with the first change, as a file does that is made here.
/// - `changed` is `underWay` while it is published; then it is `published`, or `failed`. `failed` is
///   `untried` again with the next change, and tried again by the next close or fsync.
/// - `changed` becomes `givenUp` when the entry of a new file whose content was never published is
///   removed again; no later publish is tried.
/// - `changed` becomes `cutOff` when the locks go under which it was made, and it cannot be stored: who has it open can
///   do nothing any more but close it, and nobody opens it again.
/// - `changed` is kept aside, once, when the last handle is closed or the mount ends.
/// - `published` becomes `opened` when it goes on with what another mount published. What was stored and is perhaps
///   volatile is noted (`isVolatileBelow`), as it is when something is changed over it; the next fsync brings all of the
///   version to stable storage.
/// - `published(volatile)` is `syncing` while fsync brings it to stable storage; then it is `stable`,
///   or `volatile` with the reason.
///
/// The content of a file without a name keeps its state, but is not published.
extension OpenFile {
  struct State: Sendable {
    /// As last known here, without local changes but `deferred`.
    var inode: Inode
    /// Attributes that are changed with the content when it is published, but for the time of
    /// modification, which is `modified`. None, unless there are changes to be published.
    var deferred = AttributeChange.nothing
    /// How often a change of attributes or names told what the inode is.
    var learned: UInt64 = 0
    /// The version that was opened, or published last.
    var base: Version?
    var name = Name.named
    var content = Content.opened
    /// What was published here before is below, or in what it went on with, and perhaps not on stable storage.
    var isVolatileBelow = false
    /// How its handles use the kernel's pages.
    var pages = PageUse.through
    /// The time of modification to publish.
    var modified: Timestamp
    /// The time of the last local change to the content.
    var changed: Timestamp
    var handles = 0
    /// Of its handles, those for writing.
    var writers = 0
    /// Something was written through a mapping since it was published: perhaps after the last close(2).
    var isMapped = false
    /// See `OpenFile.place`.
    var place: NodeName?
    /// It was seen here that the file has no capability (`security.capability`).
    var lacksCapability = false
    /// The extended attributes of what has no name.
    var attributes: [AttributeName: [UInt8]] = [:]
    /// The versions held at the servers for this file.
    var held: [VersionID: Version] = [:]
    /// How often it went on with what another mount published.
    var steps: UInt64 = 0
    /// The size of the version before, as long as the kernel may have pages of that: told the new one, it would
    /// read on in these, where they have zeros.
    var sizeOfPages: UInt64?
  }

  enum Name: Hashable, Sendable {
    case named
    /// It never had a name, and may be given one.
    case temporary
    /// Its last name was removed by this mount: it goes on here only.
    case removed
    /// Another client removed it, or that which it was continued in. Its attributes are here only; what
    /// is written becomes a file of its own when it is published.
    case lost(continuedIn: InodeID?)
    /// That file, which it goes on in.
    case continued(in: InodeID)
  }

  enum Content: Sendable {
    /// Nothing was written here: reads come from `base`.
    case opened
    /// The spool has what is published, or what nobody is to get any more.
    case published(Spool, Storage)
    /// The spool has changes that are not published.
    /// - Parameter isKept: they were put aside for `dfc recover`.
    case changed(Spool, Attempt, isKept: Bool)
  }

  /// Where a published content is.
  enum Storage: Sendable {
    case stable
    /// Perhaps not on stable storage; and why, if that was tried.
    case volatile(DFSError?)
    case syncing
  }

  /// What came of publishing the changes.
  enum Attempt: Sendable {
    case untried
    /// They may be the inode's version already.
    case underWay
    case failed(DFSError)
    /// They could not be published at all, and the entry was removed again.
    case givenUp(DFSError)
    /// They were not stored when the locks went under which they were made, and must not be any more.
    case cutOff(DFSError)
  }
}

// MARK: Questions

extension OpenFile.State {
  /// It goes on here only.
  var isNameless: Bool {
    switch name {
    case .temporary, .removed: true
    case .named, .lost, .continued: false
    }
  }

  /// Its attributes are here only.
  var isLocal: Bool {
    switch name {
    case .temporary, .removed, .lost: true
    case .named, .continued: false
    }
  }

  /// The inode that it goes on in, if that is another than it was opened as.
  var continuation: InodeID? {
    switch name {
    case .continued(let id): id
    case .lost(let id): id
    case .named, .temporary, .removed: nil
    }
  }

  var spool: Spool? {
    switch content {
    case .opened: nil
    case .published(let spool, _), .changed(let spool, _, _): spool
    }
  }

  /// Nothing was written here that is not published: what another mount publishes may take its place.
  var isAsPublished: Bool {
    guard name == .named else { return false }
    return switch content {
    case .opened, .published(_, .stable), .published(_, .volatile): true
    case .published(_, .syncing), .changed: false
    }
  }

  /// Bytes that it has.
  var contentSize: UInt64 { spool?.size ?? base?.size ?? 0 }

  /// Bytes that a handle reads.
  var size: UInt64 { sizeOfPages ?? contentSize }

  /// Whether it was made here and nothing of it is published: the kernel knows its size.
  var isNew: Bool { base == nil && spool != nil }

  /// The last that was published here is perhaps not on stable storage.
  private var isVolatile: Bool {
    switch content {
    case .published(_, .volatile), .published(_, .syncing): true
    case .opened, .published, .changed: false
    }
  }

  /// It has changes that are to be published.
  var isDirty: Bool {
    guard case .changed = content else { return false }
    return !isNameless
  }

  /// Whether a version is being stored, or was and is brought to stable storage.
  var isPublishing: Bool {
    switch content {
    case .published(_, .syncing), .changed(_, .underWay, _): true
    case .opened, .published, .changed: false
    }
  }

  /// Why it was not stored when that was last tried.
  var lastFailure: DFSError? {
    switch content {
    case .changed(_, .failed(let error), _), .changed(_, .givenUp(let error), _),
      .changed(_, .cutOff(let error), _):
      error
    case .published(_, .volatile(let error)): error
    case .opened, .published, .changed: nil
    }
  }

  /// Why it is not tried any more.
  var finalFailure: DFSError? {
    if case .changed(_, .givenUp(let error), _) = content { error } else { cutOff }
  }

  /// Why it cannot be used any more.
  var cutOff: DFSError? {
    if case .changed(_, .cutOff(let error), _) = content { error } else { nil }
  }

  /// - Parameter onlyNew: not what was already tried in vain.
  func needsPublish(durable: Bool, onlyNew: Bool) -> Bool {
    guard !isNameless else { return false }
    switch content {
    case .opened, .published(_, .stable): return durable && !onlyNew && isVolatileBelow
    case .published: return durable && !onlyNew
    case .changed(_, .untried, _): return true
    case .changed: return !onlyNew
    }
  }
}

// MARK: Transitions

extension OpenFile.State {
  /// Another mount published a version, which takes the place of the one that it had.
  mutating func goOn(with inode: Inode, as id: InodeID) {
    if pages != .past { sizeOfPages = size }
    base = inode.version
    isVolatileBelow = isVolatileBelow || isVolatile
    content = .opened
    learn(inode, as: id)
    (modified, changed) = (inode.modified, inode.changed)
    steps += 1
    // They are dropped, and nobody writes.
    if pages == .writtenPast { pages = .through }
  }

  /// Another client removed an inode.
  /// - Parameter own: the inode that was opened.
  mutating func lose(_ gone: InodeID, own: InodeID) {
    guard !isNameless, continuation ?? own == gone else { return }
    name = .lost(continuedIn: continuation)
    inode.links = 0
  }

  /// What was written is in an inode of that number now.
  mutating func goOn(in id: InodeID, own: InodeID) {
    if !isNameless { name = id == own ? .named : .continued(in: id) }
  }

  mutating func noteChange() {
    switch content {
    // There is nothing that could be changed.
    case .opened: break
    case .published(let spool, _):
      isVolatileBelow = isVolatileBelow || isVolatile
      content = .changed(spool, .untried, isKept: false)
    case .changed(let spool, .failed, let isKept):
      content = .changed(spool, .untried, isKept: isKept)
    case .changed: break
    }
  }

  /// - Returns: the spool and whether it has changes; nil if there is nothing to publish.
  mutating func beginPublish(durable: Bool, onlyNew: Bool) -> (spool: Spool, isNew: Bool)? {
    guard needsPublish(durable: durable, onlyNew: onlyNew) else { return nil }
    isMapped = false
    switch content {
    case .opened: return nil
    case .published(let spool, _):
      content = .published(spool, .syncing)
      return (spool, false)
    case .changed(let spool, _, let isKept):
      content = .changed(spool, .underWay, isKept: isKept)
      return (spool, true)
    }
  }

  /// All that `version` has is on stable storage.
  mutating func noteSynced(_ version: Version) {
    guard base?.id == version.id else { return }
    isVolatileBelow = false
    if case .published(let spool, _) = content { content = .published(spool, .stable) }
  }

  mutating func failPublish(_ error: DFSError) {
    switch content {
    case .published(let spool, .syncing): content = .published(spool, .volatile(error))
    case .changed(let spool, .underWay, let isKept):
      content = .changed(spool, .failed(error), isKept: isKept)
    case .opened, .published, .changed: break
    }
  }

  mutating func giveUp(_ error: DFSError) {
    if case .changed(let spool, _, let isKept) = content {
      content = .changed(spool, .givenUp(error), isKept: isKept)
    }
  }

  mutating func cutOff(_ error: DFSError) {
    if case .changed(let spool, _, let isKept) = content {
      content = .changed(spool, .cutOff(error), isKept: isKept)
    }
  }

  /// - Returns: the changes that are to be put aside, each once.
  mutating func keepAside() -> Spool? {
    guard isDirty, case .changed(let spool, let attempt, isKept: false) = content else {
      return nil
    }
    content = .changed(spool, attempt, isKept: true)
    return spool
  }

  /// - Parameter id: the inode as the kernel knows it, which has no name if another has the content.
  mutating func learn(_ inode: Inode, as id: InodeID) {
    self.inode = inode
    self.inode.id = id
    self.inode.perform(deferred, at: inode.changed)
    if inode.id != id { self.inode.links = 0 }
  }
}
