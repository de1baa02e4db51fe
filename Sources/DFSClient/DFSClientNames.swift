public import DFSCore

/// The namespace of the file service.
extension DFSClient {
  // MARK: Reading

  /// - Throws: `staleHandle` if there is no such inode (any more).
  public func inode(_ id: InodeID, _ freshness: Freshness) async throws -> Inode {
    try await namespace.inode(id, freshness)
  }

  public func lookup(
    _ parent: InodeID, _ name: FileName, _ freshness: Freshness
  ) async throws -> Inode {
    try await namespace.lookup(parent, name, freshness)
  }

  public func list(
    _ directory: InodeID, _ freshness: Freshness
  ) async throws -> [DirectoryItem] {
    try await namespace.list(directory, freshness)
  }

  public func extendedAttributes(_ inode: InodeID) async throws -> [AttributeName: [UInt8]] {
    try await namespace.attributes(inode, .pushed)
  }

  public func forget(_ id: InodeID) { namespace.cache.forget(id) }

  // MARK: Changing

  public func create(
    _ parent: InodeID, _ name: FileName, _ new: NewInode
  ) async throws -> Inode {
    try await namespace.transact { try await $0.create(parent, name, new) }
  }

  @discardableResult
  public func unlink(_ parent: InodeID, _ name: FileName) async throws -> Inode {
    try await namespace.transact { try await $0.unlink(parent, name) }
  }

  public func discard(_ parent: InodeID, _ name: FileName, _ inode: InodeID) async throws {
    try await namespace.transact(policy: .quorum) { change in
      guard let found = try await change.child(parent, name), found.id == inode,
        found.version == nil
      else { return }
      _ = try await change.unlink(parent, name)
    }
  }

  @discardableResult
  public func removeDirectory(_ parent: InodeID, _ name: FileName) async throws -> Inode {
    try await namespace.transact { try await $0.removeDirectory(parent, name) }
  }

  public func rename(
    _ parent: InodeID, _ name: FileName, to newParent: InodeID, _ newName: FileName,
    _ mode: RenameMode
  ) async throws {
    try await namespace.transact {
      try await $0.rename(parent, name, to: newParent, newName, mode)
    }
  }

  public func link(
    _ inode: InodeID, to parent: InodeID, _ name: FileName
  ) async throws -> Inode {
    try await namespace.transact { try await $0.link(inode, to: parent, name) }
  }

  public func reserveInode() async throws -> InodeID {
    try await namespace.transact { $0.reserveInode() }
  }

  public func setAttributes(
    _ inode: InodeID, _ attributes: AttributeChange
  ) async throws -> Inode {
    try await namespace.transact { try await $0.setAttributes(inode, attributes) }
  }

  public func setExtendedAttribute(
    _ inode: InodeID, _ name: AttributeName, _ value: [UInt8], _ mode: AttributeSetMode
  ) async throws {
    try await namespace.transact {
      try await $0.setExtendedAttribute(inode, name, value, mode)
    }
  }

  public func removeExtendedAttribute(_ inode: InodeID, _ name: AttributeName) async throws {
    try await namespace.transact { try await $0.removeExtendedAttribute(inode, name) }
  }
}
