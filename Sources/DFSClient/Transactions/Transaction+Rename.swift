package import DFSCore

/// Rename: replace, only if free, or exchange; within a directory or across.
extension Transaction {
  @discardableResult
  package mutating func rename(
    _ parent: InodeID, _ name: FileName, to newParent: InodeID, _ newName: FileName,
    _ mode: RenameMode
  ) async throws -> Renamed {
    try await load(
      .inode(parent), .entry(parent: parent, name: name), .inode(newParent),
      .entry(parent: newParent, name: newName))
    _ = try await directory(parent)
    _ = try await directory(newParent)
    let moved = try await existingChild(parent, name)
    try await requireNotBelow(newParent, of: moved, from: parent)
    let target = try await child(newParent, newName)
    switch (mode, target) {
    case (.exchange, let other?):
      try await exchange(moved, (parent, name), other, (newParent, newName))
    case (.exchange, nil): throw DFSError(.notFound, "'\(newName)' does not exist")
    case (.noReplace, _?): throw DFSError(.exists, "'\(newName)' exists already")
    // Two names of one object: nothing happens, as POSIX has it.
    case (.replace, let other?) where other.id == moved.id: break
    case (.replace, let other?):
      try await replace(other, newName, by: moved, in: newParent)
      try await move(moved, (parent, name), (newParent, newName))
    case (_, nil): try await move(moved, (parent, name), (newParent, newName))
    }
    return Renamed(moved: moved, other: target)
  }

  private typealias Place = (parent: InodeID, name: FileName)

  /// The entry moves; the new name is free (by now).
  private mutating func move(_ moved: Inode, _ old: Place, _ new: Place) async throws {
    putEntry(old.parent, old.name, nil)
    try await move(moved, from: old.parent, to: new)
    try await touchBoth(old.parent, new.parent)
  }

  private mutating func exchange(
    _ one: Inode, _ place: Place, _ other: Inode, _ otherPlace: Place
  ) async throws {
    guard one.id != other.id else { return }
    try await requireNotBelow(place.parent, of: other, from: otherPlace.parent)
    try await move(one, from: place.parent, to: otherPlace)
    try await move(other, from: otherPlace.parent, to: place)
    try await touchBoth(place.parent, otherPlace.parent)
  }

  /// Writes the entry and the inode at their new place, and moves the link that a directory is in
  /// its parent's count.
  private mutating func move(_ inode: Inode, from parent: InodeID, to new: Place) async throws {
    var moved = inode
    moved.changed = time
    if moved.kind == .directory, parent != new.parent {
      moved.parent = new.parent
      var old = try await directory(parent)
      old.links = max(3, old.links) - 1
      put(old)
      var next = try await directory(new.parent)
      try addLink(&next)
      put(next)
    }
    put(moved)
    putEntry(new.parent, new.name, moved.id)
  }

  /// What had the new name goes, if it may.
  private mutating func replace(
    _ other: Inode, _ name: FileName, by moved: Inode, in parent: InodeID
  ) async throws {
    guard other.kind == .directory else {
      guard moved.kind != .directory else {
        throw DFSError(.notDirectory, "'\(name)' is not a directory, what is moved is one")
      }
      return try await dropLink(other)
    }
    guard moved.kind == .directory else {
      throw DFSError(.isDirectory, "'\(name)' is a directory, what is moved is none")
    }
    try await requireEmpty(other, name)
    try await remove(other)
    var directory = try await directory(parent)
    directory.links = max(3, directory.links) - 1
    put(directory)
  }

  private mutating func touchBoth(_ one: InodeID, _ other: InodeID) async throws {
    for id in one == other ? [one] : [one, other] {
      var inode = try await directory(id)
      touch(&inode)
      put(inode)
    }
  }

  /// A directory does not move into itself or below itself.
  private mutating func requireNotBelow(
    _ newParent: InodeID, of moved: Inode, from parent: InodeID
  ) async throws {
    guard moved.kind == .directory, newParent != parent else { return }
    var seen: Set<InodeID> = []
    var ancestor = newParent
    while ancestor != .root {
      guard ancestor != moved.id else {
        throw DFSError(.invalidArgument, "a directory cannot be moved below itself")
      }
      guard seen.insert(ancestor).inserted else {
        throw DFSError(.damaged, "directory \(ancestor) is below itself")
      }
      ancestor = try await directory(ancestor).parent
    }
  }
}
