internal import DFSClient
internal import DFSCore
internal import Glibc
internal import Synchronization

/// Names: looking up, making, removing and moving them.
extension FileSystem {
  /// A cached entry is good as long as servers push; that there is none is asked for anew, since a
  /// file that another client has just closed must be found.
  func lookup(_ parent: InodeID, _ name: FileName, _ caller: Caller) async throws -> Reply {
    let place = NodeName(parent: parent, name: name)
    let isSecond = looks.isSecond(caller)
    var mark = kernel.mark
    var inode = try await within(parent, for: caller) {
      try await service.lookup(parent, name, isSecond ? .current : .pushedIfThere)
    }
    if !isSecond, nodes.otherName(of: inode, than: place) != nil {
      // What is cached here may be old: it is asked for anew.
      mark = kernel.mark
      inode = try await service.lookup(parent, name, .current)
    }
    let lost = lostName(of: inode, foundAs: place)
    guard isSecond else {
      if let lost { return .renamed(from: lost) }
      return .entry(try await entry(parent, name, inode, since: mark, caller))
    }
    if let lost, looks.hasJustFound(inode.id, as: lost, by: caller) {
      // That is what a rename asks for that another client has just made: it is to be tried, and
      // told that the old name is none.
      throw DFSError(.notFound, "'\(lost.name)' became '\(name)' in between")
    }
    looks.note(.init(name: place, inode: inode), by: caller)
    var entry = try await entry(parent, name, inode, since: mark, caller)
    entry.lost = lost
    entry.isForThisCall = true
    return .entry(entry)
  }

  /// An inode by its number, which is never used twice, so that a handle means that inode or none, also
  /// after a remount and on another mount. The number may be forged.
  /// - Throws: `notFound` if there is none, which the kernel makes ESTALE; only so, for nothing is to be
  ///   asked for again.
  func lookup(_ wanted: WantedByNumber, of id: InodeID, _ caller: Caller) async throws -> Reply {
    do {
      var mark = kernel.mark
      var inode = try await service.inode(id, .current)
      switch wanted {
      case .inode: nodes.loseName(of: id)
      case .parent:
        guard inode.kind == .directory else {
          throw DFSError(.notFound, "inode \(id) is not a directory")
        }
        mark = kernel.mark
        inode = try await service.inode(inode.parent, .current)
      }
      return .entry(
        Entry(name: nil, attributes: try await shown(inode, since: mark, caller)))
    } catch let error as DFSError where error.code == .staleHandle {
      throw DFSError(.notFound, "inode \(id) does not exist (any more)", cause: error)
    }
  }

  /// Under which name, that is none any more, the kernel knows a file that can have one only. Told
  /// of the new one besides, it would take both for names of one file, and rename(2) of the old to
  /// the new does nothing then: another client's rename would look like this one's.
  /// - Parameter inode: what the name means now.
  func lostName(of inode: Inode, foundAs name: NodeName) -> NodeName? {
    guard let known = nodes.otherName(of: inode, than: name) else { return nil }
    nodes.drop(known, of: inode.id)
    return known
  }

  // MARK: Making

  func makeDirectory(
    _ parent: InodeID, _ name: FileName, mode: UInt32, _ caller: Caller
  ) async throws -> Reply {
    try await make(parent, name, NewInode(kind: .directory, mode: mode, caller), caller)
  }

  func makeNode(
    _ parent: InodeID, _ name: FileName, mode: UInt32, device: UInt64, _ caller: Caller
  ) async throws -> Reply {
    var new = NewInode(kind: try FileKind(fileType: mode), mode: mode, caller)
    new.device = device
    guard new.kind == .regular else { return try await make(parent, name, new, caller) }
    // Nobody will close it, so its empty content is published here.
    let reply = try await create(parent, name, mode: mode, flags: O_WRONLY | O_EXCL, caller) {}
    guard case .created(let entry, let opened) = reply else { return reply }
    try await Uncancelled.run {
      do {
        try await self.flush(opened.handle, caller) {}
      } catch {
        await self.release(opened.handle) {}
        throw error
      }
      await self.release(opened.handle) {}
    }
    return .entry(entry)
  }

  func makeLink(
    _ parent: InodeID, _ name: FileName, target: [UInt8], _ caller: Caller
  ) async throws -> Reply {
    guard target.count <= Limits.symlinkBytes else {
      throw DFSError(
        .nameTooLong, "a link's target of \(target.count) bytes; the limit is 4095")
    }
    var new = NewInode(kind: .symlink, mode: 0o777, caller)
    new.target = target
    return try await make(parent, name, new, caller)
  }

  private func make(
    _ parent: InodeID, _ name: FileName, _ new: NewInode, _ caller: Caller
  ) async throws -> Reply {
    let mark = kernel.mark
    let inode = try await within(parent, for: caller) {
      try await service.create(parent, name, try await inheriting(parent, new))
    }
    return .entry(await made(parent, name, inode, since: mark, caller))
  }

  /// In a directory with the setgid bit, what is made has the directory's group.
  /// - Throws: `notFound` if the directory is gone.
  func inheriting(_ parent: InodeID, _ new: NewInode) async throws -> NewInode {
    let directory: Inode
    do {
      directory = try await service.inode(parent, .pushed)
    } catch let error as DFSError where error.code == .staleHandle {
      throw DFSError(.notFound, "directory \(parent) does not exist any more", cause: error)
    }
    guard directory.mode & UInt32(S_ISGID) != 0 else { return new }
    var new = new
    new.group = directory.group
    if new.kind == .directory { new.mode |= UInt32(S_ISGID) }
    return new
  }

  func link(
    _ id: InodeID, to parent: InodeID, _ name: FileName, _ caller: Caller,
    progress: @escaping @Sendable () -> Void
  ) async throws -> Reply {
    let mark = kernel.mark
    if let file = files[id], file.state.withLock({ $0.name == .temporary }) {
      let inode = try await file.publish(as: name, in: parent, progress: progress)
      return .entry(await made(parent, name, inode, since: mark, caller))
    }
    let inode = try await within(parent, for: caller) {
      do {
        return try await service.link(files[id]?.target ?? id, to: parent, name)
      } catch let error as DFSError where error.code == .staleHandle {
        // As on a local disk: what has lost its last name gets no other.
        _ = try remains(of: id, for: caller, error)
        throw DFSError(.notFound, "inode \(id) was removed", cause: error)
      }
    }
    files[id]?.learn(inode, modified: nil)
    return .entry(await made(parent, name, inode, since: mark, caller))
  }

  // MARK: Removing

  func unlink(_ parent: InodeID, _ name: FileName, _ caller: Caller) async throws -> Reply {
    if !files.isEmpty { await pinOpenFile(parent, name) }
    let inode = try await within(parent, for: caller) { try await service.unlink(parent, name) }
    forgetName(parent, name, inode)
    return .done
  }

  func removeDirectory(
    _ parent: InodeID, _ name: FileName, _ caller: Caller
  ) async throws -> Reply {
    let inode = try await within(parent, for: caller) {
      try await service.removeDirectory(parent, name)
    }
    nodes.drop(NodeName(parent: parent, name: name), of: inode.id)
    nodes.noteRemoved(inode)
    return .done
  }

  /// If the name's file is open here, waits until the servers keep its copies, and keeps here what
  /// goes with its last name.
  private func pinOpenFile(_ parent: InodeID, _ name: FileName) async {
    let inode = try? await service.lookup(parent, name, .pushed)
    if let inode, let file = files[inode.id] {
      await service.untilPinned()
      if inode.links <= 1, let attributes = try? await service.extendedAttributes(inode.id) {
        file.state.withLock { if !$0.isLocal { $0.attributes = attributes } }
      }
    }
  }

  /// - Parameter inode: as it was before it lost the name.
  private func forgetName(_ parent: InodeID, _ name: FileName, _ inode: Inode) {
    nodes.drop(NodeName(parent: parent, name: name), of: inode.id)
    let isLast = inode.kind == .directory || inode.links <= 1
    if isLast { nodes.noteRemoved(inode) }
    guard let file = files[inode.id] else { return }
    if isLast {
      file.markRemoved()
    } else {
      var left = inode
      left.links -= 1
      file.learn(left, modified: nil)
    }
  }

  // MARK: Moving

  func rename(
    _ parent: InodeID, _ name: FileName, to newParent: InodeID, _ newName: FileName,
    flags: UInt32, _ caller: Caller
  ) async throws -> Reply {
    let mode = try RenameMode(flags: flags)
    if mode == .replace { await pinOpenFile(newParent, newName) }
    let renamed = try await within(parent, newParent, for: caller) {
      try await service.rename(parent, name, to: newParent, newName, mode)
    }
    if let other = renamed.other, other.id != renamed.moved.id {
      if mode == .exchange {
        noteMoved(other.id, to: NodeName(parent: parent, name: name))
      } else {
        forgetName(newParent, newName, other)
      }
    }
    noteMoved(renamed.moved.id, to: NodeName(parent: newParent, name: newName))
    return .done
  }

  private func noteMoved(_ id: InodeID, to name: NodeName) {
    nodes.rename(id, to: name)
    files[id]?.notePlace(name)
  }
}

extension RenameMode {
  /// From the flags of renameat2(2).
  init(flags: UInt32) throws(DFSError) {
    switch flags {
    case 0: self = .replace
    case 1: self = .noReplace
    case 2: self = .exchange
    default: throw DFSError(.invalidArgument, "renaming with the flags \(flags) is not known")
    }
  }
}

extension NewInode {
  init(kind: FileKind, mode: UInt32, _ caller: Caller) {
    self.init(kind: kind, mode: mode & 0o7777, owner: caller.user, group: caller.group)
  }
}

extension FileKind {
  /// From the type bits of a mode; none means a regular file.
  init(fileType mode: UInt32) throws(DFSError) {
    switch mode & UInt32(S_IFMT) {
    case 0, UInt32(S_IFREG): self = .regular
    case UInt32(S_IFDIR): self = .directory
    case UInt32(S_IFLNK): self = .symlink
    case UInt32(S_IFIFO): self = .fifo
    case UInt32(S_IFSOCK): self = .socket
    case UInt32(S_IFCHR): self = .characterDevice
    case UInt32(S_IFBLK): self = .blockDevice
    default: throw DFSError(.invalidArgument, "no file has the type \(mode & UInt32(S_IFMT))")
    }
  }

  /// The type bits of a mode.
  var fileType: UInt32 {
    switch self {
    case .regular, .layer: UInt32(S_IFREG)
    case .directory: UInt32(S_IFDIR)
    case .symlink: UInt32(S_IFLNK)
    case .fifo: UInt32(S_IFIFO)
    case .socket: UInt32(S_IFSOCK)
    case .characterDevice: UInt32(S_IFCHR)
    case .blockDevice: UInt32(S_IFBLK)
    }
  }
}
