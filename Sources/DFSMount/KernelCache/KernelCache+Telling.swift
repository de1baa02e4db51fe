internal import DFSCore
internal import Dispatch
internal import Synchronization

/// What the kernel can be told without having asked; `Fuse/` does it. Not with a lock held: some of
/// it waits.
protocol KernelNotifier: Sendable {
  /// The kernel drops what it knows of an inode, but its pages: taking these waits for reads under way.
  func drop(_ id: InodeID)
  /// The kernel drops the pages of an inode, too.
  /// - Parameter bytes: those that these are in; nil: all.
  func dropPages(of id: InodeID, _ bytes: Range<UInt64>?)
  /// The kernel drops a name. It waits for the directory's lock, which may be held until this process
  /// answers; killed in that moment, it could never end, nor who waits for its answers.
  func drop(_ name: NodeName)
  /// Makes the kernel ask again for all names that it knows, which waits for nothing.
  /// - Returns: false if it cannot do that.
  func expireNames() -> Bool
}

/// What the kernel is told to drop.
extension KernelCache {
  /// It is mounted, and will answer.
  func attach(_ notifier: any KernelNotifier) { self.notifier.withLock { $0 = notifier } }

  /// Learns what the kernel can be told; once it answers.
  func begin() {
    expiresNames.store(notifier.withLock { $0 }?.expireNames() ?? false, ordering: .relaxed)
  }

  /// The kernel is told nothing any more.
  func detach() { notifier.withLock { $0 = nil } }

  func drop(_ id: InodeID) { drop(id, isChanged: true) }

  private func drop(_ id: InodeID, isChanged: Bool) {
    guard let notifier = notifier.withLock({ $0 }) else { return }
    nodes.dropping(id, isChanged: isChanged) { notifier.drop(id) }
  }

  /// The kernel drops all that it keeps of an inode: the handles that read through its pages read another
  /// version now. Waits for reads under way, so not from within one.
  /// - Parameter bytes: those that were written meanwhile, of the version that they read; nil: all.
  func dropPages(of id: InodeID, _ bytes: Range<UInt64>? = nil) async {
    await withCheckedContinuation { continuation in
      pageTelling.async {
        if let notifier = self.notifier.withLock({ $0 }) {
          self.nodes.dropping(id, isChanged: bytes == nil) { notifier.dropPages(of: id, bytes) }
        }
        continuation.resume()
      }
    }
  }

  /// The kernel is about to be told attributes. Those that are not for it are older than what it is made to
  /// forget now, so it hands them on, and keeps what it has.
  func noteTold(_ attributes: Attributes) {
    let inode = attributes.inode
    if attributes.isForCallerOnly {
      drop(inode.id)
    } else if inode.kind == .regular {
      nodes.noteTold(attributes.size, of: inode.version?.id, inode.id)
    }
  }

  /// Before a file that was opened is read through the kernel's pages, the kernel asks for its size: the one that
  /// it was told last, or is just being told, may be that of another version. An answer that is older than this
  /// does not count for it any more. Nothing is to be done if it was told no other.
  func renewSize(of file: OpenFile) {
    if !knowsSize(of: file) { drop(file.id, isChanged: false) }
  }

  /// Whether the kernel was told the size of what is open, and no other.
  func knowsSize(of file: OpenFile) -> Bool {
    let version = file.state.withLock { state in
      state.spool == nil && state.pages == .through ? state.base : nil
    }
    return version.map { nodes.wasTold($0.size, of: $0.id, file.id) } ?? false
  }

  /// Drops a name; where the kernel can, by making it ask again for all. Not from within an operation.
  func drop(_ name: NodeName) {
    if !expireNames() { notifier.withLock { $0 }?.drop(name) }
  }

  /// The same from within an operation. A kernel that cannot expire names is told when it has the
  /// answer.
  func expire(_ name: NodeName) {
    if !expireNames() { lateTelling.async { self.drop(name) } }
  }

  func expireNames() -> Bool {
    guard expiresNames.load(ordering: .relaxed) else { return false }
    if names.expire() { _ = notifier.withLock { $0 }?.expireNames() }
    return true
  }

  /// The kernel is to ask again for an inode, or for all that it knows: an operation ended after it was
  /// answered in its place.
  func renew(_ subject: InodeID?) {
    lateTelling.async {
      if let subject { self.drop(subject) } else { self.renewEverything() }
    }
  }

  func renewEverything() {
    let areExpired = expireNames()
    drop(.root)
    for node in nodes.all {
      drop(node.id)
      if let name = node.name, !areExpired { drop(name) }
    }
  }

  // MARK: What other clients change

  func drop(_ row: RowKey) {
    switch row {
    case .inode(let id):
      // Not its pages: the next open drops them, and until then handles read what they opened.
      if nodes.knows(id) { drop(id) }
    case .entry(let parent, let name):
      guard nodes.knows(parent) else { return }
      names.changed()
      drop(NodeName(parent: parent, name: name))
      // The directory's times changed with its entries.
      drop(parent)
    case .attribute(let id, _):
      if nodes.knows(id) { drop(id) }
    }
  }

  /// Again, for an inode that the kernel did not know then.
  func dropAgain(_ row: RowKey) {
    if case .inode(let id) = row, nodes.knows(id) { drop(id) }
  }

  func dropAllAgain() { for node in nodes.all { drop(node.id) } }
}
