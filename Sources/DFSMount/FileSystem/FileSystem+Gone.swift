internal import DFSClient
internal import DFSCore

/// What another client removed or replaced while it was used here.
extension FileSystem {
  /// An inode that is gone for all others.
  enum Remains {
    case open(OpenFile)
    /// As it was when the call's names were resolved.
    case found(Inode)
  }

  /// What a call goes on with that asks for an inode that is gone: as on a local disk what it has
  /// open, or what its names meant. A call that came with a name that the kernel knew from before is
  /// told ESTALE, and comes again with what the name means now.
  /// - Parameter isByHandle: it asks for an open file, by no name.
  func remains(
    of id: InodeID, for caller: Caller, isByHandle: Bool = false, _ cause: DFSError
  ) throws(DFSError) -> Remains {
    if let file = files[id],
      isByHandle || file.isNameless || looks.isAskedAgain(id, by: caller)
        || caller.hasDescriptor(on: id)
    {
      return .open(file)
    }
    guard var inode = looks.found(id, by: caller)?.inode else { throw stale(id, caller, cause) }
    inode.links = 0
    return .found(inode)
  }

  /// What makes the kernel ask again.
  func stale(_ id: InodeID, _ caller: Caller, _ cause: DFSError) -> DFSError {
    looks.noteGone(id, for: caller)
    return DFSError(
      .staleHandle, "inode \(id) is gone, or has not that name any more", cause: cause)
  }

  /// What is asked for in a directory that another client removed or replaced is asked for again by
  /// its whole path, once.
  func within<Value>(
    _ directories: InodeID..., for caller: Caller, _ body: () async throws -> Value
  ) async throws -> Value {
    do {
      return try await body()
    } catch let error as DFSError where error.code == .notFound {
      for id in directories where id != .root && !looks.isAskedAgain(id, by: caller) {
        if nodes.removed(id) == nil, await isGone(id) { throw stale(id, caller, error) }
      }
      throw error
    }
  }

  private func isGone(_ id: InodeID) async -> Bool {
    do {
      _ = try await service.inode(id, .pushed)
      return false
    } catch { return (error as? DFSError)?.isAbsence ?? false }
  }
}
