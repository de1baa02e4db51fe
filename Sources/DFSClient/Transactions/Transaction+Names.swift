package import DFSCore

/// Names: made, removed and linked, each as one change.
extension Transaction {
  /// Makes an object under a free name.
  /// - Throws: `exists`, `notFound` (no such directory), `notDirectory`.
  package mutating func create(_ parent: InodeID, _ name: FileName, _ new: NewInode) async throws
    -> Inode
  {
    try Self.check(new)
    try await load(.inode(parent), .entry(parent: parent, name: name))
    var directory = try await directory(parent)
    guard try await child(parent, name) == nil else {
      throw DFSError(.exists, "'\(name)' exists already")
    }
    return try make(name, new, in: &directory)
  }

  /// Makes an object in `directory`, where the name must be free, and writes both.
  mutating func make(
    _ name: FileName, _ new: NewInode, in directory: inout Inode, version: Version? = nil
  ) throws -> Inode {
    let isDirectory = new.kind == .directory
    let inode = Inode(
      id: newInode(), kind: new.kind, mode: new.mode, owner: new.owner, group: new.group,
      links: isDirectory ? 2 : 1, time: time, device: new.device,
      parent: isDirectory ? directory.id : nil, target: new.target, version: version)
    if isDirectory { try addLink(&directory) }
    touch(&directory)
    put(inode)
    put(directory)
    putEntry(directory.id, name, inode.id)
    return inode
  }

  /// Removes a name that is not a directory; the inode goes with its last name.
  /// - Returns: the inode as it was.
  package mutating func unlink(_ parent: InodeID, _ name: FileName) async throws -> Inode {
    try await load(.inode(parent), .entry(parent: parent, name: name))
    var directory = try await directory(parent)
    let inode = try await existingChild(parent, name)
    guard inode.kind != .directory else {
      throw DFSError(.isDirectory, "'\(name)' is a directory")
    }
    try await dropLink(inode)
    putEntry(parent, name, nil)
    touch(&directory)
    put(directory)
    return inode
  }

  /// Removes an empty directory.
  /// - Returns: the inode as it was.
  package mutating func removeDirectory(_ parent: InodeID, _ name: FileName) async throws -> Inode {
    try await load(.inode(parent), .entry(parent: parent, name: name))
    var directory = try await directory(parent)
    let inode = try await existingChild(parent, name)
    try await requireEmpty(inode, name)
    try await remove(inode)
    putEntry(parent, name, nil)
    directory.links = max(3, directory.links) - 1
    touch(&directory)
    put(directory)
    return inode
  }

  /// Gives an object that is not a directory another name.
  package mutating func link(
    _ id: InodeID, to parent: InodeID, _ name: FileName
  ) async throws -> Inode {
    try await load(.inode(id), .inode(parent), .entry(parent: parent, name: name))
    var inode = try await seenInode(id)
    guard inode.kind != .directory else {
      throw DFSError(.notPermitted, "a directory has one name only")
    }
    var directory = try await directory(parent)
    guard try await child(parent, name) == nil else {
      throw DFSError(.exists, "'\(name)' exists already")
    }
    try addLink(&inode)
    inode.changed = time
    put(inode)
    putEntry(parent, name, id)
    touch(&directory)
    put(directory)
    return inode
  }

  // MARK: Steps that several operations share

  /// A directory's entries changed.
  func touch(_ directory: inout Inode) {
    directory.modified = time
    directory.changed = time
  }

  func addLink(_ inode: inout Inode) throws {
    guard inode.links < UInt32.max else {
      throw DFSError(.tooManyLinks, "inode \(inode.id) has \(inode.links) links, the limit")
    }
    inode.links += 1
  }

  /// Takes a name from an inode that is not a directory; with the last one the inode goes.
  mutating func dropLink(_ inode: Inode) async throws {
    guard inode.links > 1 else { return try await remove(inode) }
    var rest = inode
    rest.links -= 1
    rest.changed = time
    put(rest)
  }

  mutating func requireEmpty(_ inode: Inode, _ name: FileName) async throws {
    guard inode.kind == .directory else {
      throw DFSError(.notDirectory, "'\(name)' is not a directory")
    }
    guard try await isEmpty(inode.id) else {
      throw DFSError(.notEmpty, "directory '\(name)' is not empty")
    }
  }

  private static func check(_ new: NewInode) throws {
    guard new.kind == .symlink else { return }
    guard !new.target.isEmpty else {
      throw DFSError(.notFound, "a symbolic link to nothing; its target is at least one byte")
    }
    guard new.target.count <= Limits.symlinkBytes else {
      throw DFSError(
        .nameTooLong,
        "a link's target of \(new.target.count) bytes; the limit is \(Limits.symlinkBytes)")
    }
  }
}
