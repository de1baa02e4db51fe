internal import DFSCore
internal import Glibc
internal import Synchronization

/// How the handles of one open file use the kernel's pages, of which there is one set for an inode.
enum PageUse: Hashable, Sendable {
  /// They read and write through them.
  case through
  /// Some handle writes past them, so that they are of no version.
  case writtenPast
  /// Handles of another open file of the inode read another version through them: these must not use
  /// them.
  case past
}

/// Which handles go through the kernel's pages, and which version these are of.
extension KernelCache {
  /// How a new handle of an open file uses the kernel's pages.
  ///
  /// With O_APPEND the kernel puts what is written into its pages where it believes the end to be,
  /// without asking; that may be the end of another version, so the pages of a file that was not made
  /// just now are not used.
  /// - Parameters:
  ///   - flags: of open(2).
  ///   - hearsReads: reading is to be heard of here, which it is not where pages are kept.
  /// - Returns: whether the kernel keeps the pages that it has, and whether the handle goes past them.
  func pages(
    of file: OpenFile, flags: Int32, hearsReads: Bool
  ) -> (areKept: Bool, arePassed: Bool) {
    let appends = flags & O_APPEND != 0 && flags & O_ACCMODE != O_RDONLY
    let (isPast, appendsPast, version) = file.state.withLock { state in
      let appendsPast = appends && !state.isNew
      if appendsPast, state.pages == .through { state.pages = .writtenPast }
      return (state.pages == .past, appendsPast, state.base?.id)
    }
    let areKept = nodes.keepsPages(of: isPast || hearsReads ? nil : version, file.id)
    return (areKept, isPast || appendsPast)
  }

  /// Whether the kernel may have a wrong size of a file, and keep it though it was told another: others are just
  /// changing it. Through its pages it would read with that.
  /// - Parameter forgettings: of the nodes, before it was made to ask anew by who opens the file.
  func isSizeInDoubt(of file: OpenFile, since forgettings: UInt64?) -> Bool {
    guard nodes.isForgetting(file.id) else { return false }
    return forgettings != nodes.forgettings(of: file.id) || !knowsSize(of: file)
  }

  /// For how long the kernel may keep the attributes of an open file.
  /// - Parameter isOther: they are of another version than the one that it has.
  func lifetime(of file: OpenFile.State, isOther: Bool) -> Lifetime {
    !file.isDirty && (file.pages == .past || isOther) ? .none : .brief
  }

  /// Whether the kernel may read the inode from its pages.
  func mayReadPages(of id: InodeID) -> Bool { nodes.hasPages(id) }

  /// The kernel reads a version through its pages. Once something was written there, the pages are
  /// of no version: a read that was under way then must not say otherwise.
  func noteReading(_ version: VersionID, of file: OpenFile.State, _ id: InodeID) {
    guard file.spool == nil, file.base?.id == version else { return }
    if file.pages == .through { nodes.notePages(of: version, id) }
  }

  /// Something was written through the kernel's pages, which are of no version until that is published;
  /// should that fail, the next open must not take them for the old one.
  func noteChange(of id: InodeID) {
    nodes.notePages(of: nil, id)
    nodes.noteOwnSize(id)
  }

  /// An open file goes on with another version; of which its pages are is known when they are read.
  func noteGoingOn(_ id: InodeID) { nodes.notePages(of: nil, id) }

  /// A version was published to `target`; to be called before the open file says so.
  func notePublished(_ version: VersionID?, _ id: InodeID, target: InodeID, _ pages: PageUse) {
    nodes.notePublished(id)
    if target != id { nodes.notePublished(target) }
    nodes.notePages(of: pages == .through ? version : nil, id)
  }
}
