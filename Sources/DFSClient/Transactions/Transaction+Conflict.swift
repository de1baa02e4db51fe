internal import DFSCore
internal import DFSSystem

/// Two clients that had one file open and wrote it: the last close wins, and what the other one had
/// closed is kept beside it. One that wrote it and one that removed or replaced it: the name is as the
/// latter left it, and what was written is kept beside it.
extension Transaction {
  /// Keeps the content of a file that is gone.
  /// - Returns: the file that has it now.
  mutating func keep(
    _ version: Version, modified: Timestamp, insteadOf id: InodeID, _ opened: OpenedVersion?
  ) async throws -> Inode {
    guard let opened, let attributes = opened.attributes else {
      throw DFSError(.staleHandle, "inode \(id) does not exist any more")
    }
    return try await keep(version, attributes, modified: modified, beside: opened)
  }

  /// Keeps the content of `inode` under a name of its own, if it is none that `opened` began from and
  /// not the same bytes.
  mutating func keep(
    _ inode: Inode, from opened: OpenedVersion, replacedBy version: Version
  ) async throws {
    guard var theirs = inode.version, theirs.id != opened.version,
      theirs.md5 != version.md5 || version.md5 == nil
    else { return }
    // The rows of their layers go with the file's own.
    theirs = theirs.made(of: theirs.base, withOwnRows(theirs.layers))
    let attributes = NewInode(
      kind: .regular, mode: inode.mode, owner: inode.owner, group: inode.group)
    _ = try await keep(theirs, attributes, modified: inode.modified, beside: opened)
  }

  private mutating func keep(
    _ version: Version, _ attributes: NewInode, modified: Timestamp, beside opened: OpenedVersion
  ) async throws -> Inode {
    // The directory may have been removed since; what was written is then found at the top.
    var directory: Inode
    do {
      directory = try await self.directory(opened.parent)
    } catch let error as DFSError where error.code == .notFound {
      directory = try await self.directory(.root)
    }
    let name = try await freeName(for: opened, in: directory.id)
    var copy = try make(name, attributes, in: &directory, version: version)
    copy.modified = modified
    put(copy)
    return copy
  }

  private mutating func freeName(
    for opened: OpenedVersion, in directory: InodeID
  ) async throws -> FileName {
    for number in 1...Self.conflictNames {
      let name = try opened.conflictName(at: time, number: number)
      if try await child(directory, name) == nil { return name }
    }
    throw DFSError(
      .exists,
      "'\(opened.name)' was changed by others too often within a second: all "
        + "\(Self.conflictNames) names for what they wrote are taken; close it again")
  }

  private static let conflictNames = 1000
}

extension OpenedVersion {
  /// `NAME (conflict HOST 2026-11-25 14.05.33)`, with a number if that is taken; NAME is cut if the
  /// whole would be too long.
  func conflictName(at time: Timestamp, number: Int = 1) throws(DFSError) -> FileName {
    let host = String(self.host.filter { $0.isASCII && $0 != "/" && !$0.isWhitespace }.prefix(64))
    let count = number == 1 ? "" : " \(number)"
    return try name.appending(" (conflict \(host) \(time.local("%Y-%m-%d %H.%M.%S"))\(count))")
  }
}
