package import DFSCore

/// What an object is like: its attributes, extended attributes and content.
extension Transaction {
  package mutating func setAttributes(_ id: InodeID, _ change: AttributeChange) async throws
    -> Inode
  {
    var inode = try await seenInode(id)
    if let before = change.accessedBefore {
      guard inode.accessed == before, let accessed = change.accessed else { return inode }
      inode.accessed = accessed
      put(inode)
      return inode
    }
    inode.perform(change, at: time)
    put(inode)
    return inode
  }

  /// Notes where the copies of a content are now, if the inode still has it.
  /// - Parameter id: the file, or the inode of its layer.
  /// - Returns: whether it has.
  mutating func place(
    _ id: InodeID, _ content: Content, _ placement: Placement
  ) async throws -> Bool {
    guard var inode = try await inode(id), inode.content?.id == content.id,
      inode.content?.placement == content.placement
    else { return false }
    guard inode.kind == .layer else {
      inode.version?.base?.placement = placement
      put(inode)
      return true
    }
    guard var file = try await self.inode(inode.parent),
      let index = file.version?.layers.firstIndex(where: { $0.inode == id })
    else { return false }
    file.version?.layers[index].content.placement = placement
    put(file)
    return true
  }

  // MARK: Extended attributes

  /// Bytes that the names and values of one inode's attributes may take together, each counted with
  /// `attributeOverheadBytes`: so that they fit one answer and one change.
  static let attributesBytes = 256 << 10
  static let attributeOverheadBytes = 64
  /// Bytes of the names of one inode's attributes, each with an end: the kernel lists no more
  /// (`XATTR_LIST_MAX`, listxattr(2)).
  static let attributeListBytes = 64 << 10

  mutating func setExtendedAttribute(
    _ id: InodeID, _ name: AttributeName, _ value: [UInt8], _ mode: AttributeSetMode
  ) async throws {
    guard value.count <= Limits.attributeValueBytes else {
      throw DFSError(
        .outOfRange,
        "an attribute of \(value.count) bytes; the limit is \(Limits.attributeValueBytes)")
    }
    try await load(.inode(id), .attributes(id))
    var inode = try await seenInode(id)
    var all = try await attributes(id)
    if mode == .create, all[name] != nil {
      throw DFSError(.exists, "attribute '\(name)' exists already")
    }
    if mode == .replace, all[name] == nil { throw Self.noAttribute(name) }
    // As on ext4: what is there already changes nothing.
    if all[name] == value { return }
    all[name] = value
    let bytes = all.reduce(0) { $0 + $1.key.bytes.count + $1.value.count }
    guard bytes + all.count * Self.attributeOverheadBytes <= Self.attributesBytes else {
      throw DFSError(
        .noSpace,
        "inode \(id) has attributes of \(bytes) bytes; the limit is "
          + "\(Self.attributesBytes), \(Self.attributeOverheadBytes) counted for each")
    }
    let list = all.keys.reduce(0) { $0 + $1.bytes.count + 1 }
    guard list <= Self.attributeListBytes else {
      throw DFSError(
        .noSpace,
        "inode \(id) has attributes' names of \(list) bytes; the limit is "
          + "\(Self.attributeListBytes)")
    }
    putAttribute(id, name, value)
    inode.changed = time
    put(inode)
  }

  mutating func removeExtendedAttribute(_ id: InodeID, _ name: AttributeName) async throws {
    try await load(.inode(id), .attributes(id))
    var inode = try await seenInode(id)
    guard try await attributes(id)[name] != nil else { throw Self.noAttribute(name) }
    putAttribute(id, name, nil)
    inode.changed = time
    put(inode)
  }

  static func noAttribute(_ name: AttributeName) -> DFSError {
    DFSError(.noAttribute, "there is no attribute '\(name)'")
  }

  // MARK: Contents

  /// Makes what is new the content of its target.
  /// - Parameter own: versions that are this client's: nobody else's work.
  mutating func publish(
    _ new: NewVersion, to target: PublishTarget, own: Set<VersionID> = []
  ) async throws -> Inode {
    switch target {
    case .inode(let id, let modified, let changed, let attributes, let opened):
      guard var inode = try await inode(id) else {
        let version = try publication(of: new, over: nil, opened: nil, own: own).version
        return try await keep(version, modified: modified, insteadOf: id, opened)
      }
      let new = try publication(of: new, over: inode.version, opened: opened, own: own)
      if let opened, !new.goesOn {
        try await keep(inode, from: opened, replacedBy: new.version)
      }
      isMoved = isMoved || new.isMoved
      if attributes != .nothing { inode.perform(attributes, at: inode.changed) }
      return try publish(
        new.version, to: inode, modified: modified, changed: max(inode.changed, changed))
    case .name(let parent, let name, let attributes):
      try await load(.inode(parent), .entry(parent: parent, name: name))
      var directory = try await directory(parent)
      guard let inode = try await child(parent, name) else {
        let version = try publication(of: new, over: nil, opened: nil, own: own).version
        return try make(name, attributes, in: &directory, version: version)
      }
      let version = try publication(of: new, over: inode.version, opened: nil, own: own).version
      return try publish(version, to: inode, modified: time, changed: time)
    case .nameless(let reserved, let attributes, let modified, let parent, let name):
      try await load(.inode(reserved.id), .inode(parent), .entry(parent: parent, name: name))
      var directory = try await directory(parent)
      guard try await child(parent, name) == nil, try await inode(reserved.id) == nil else {
        throw DFSError(.exists, "'\(name)' exists already")
      }
      var inode = reserved
      inode.links = 1
      for (attribute, value) in attributes { putAttribute(inode.id, attribute, value) }
      putEntry(parent, name, inode.id)
      touch(&directory)
      put(directory)
      let version = try publication(of: new, over: nil, opened: nil, own: own).version
      return try publish(version, to: inode, modified: modified, changed: time)
    }
  }

  private mutating func publish(
    _ version: Version, to inode: Inode, modified: Timestamp, changed: Timestamp
  ) throws -> Inode {
    guard inode.kind == .regular else {
      throw DFSError(
        inode.kind == .directory ? .isDirectory : .invalidArgument,
        "inode \(inode.id) is not a regular file")
    }
    var inode = inode
    inode.version = version
    inode.modified = modified
    inode.changed = changed
    put(inode)
    return inode
  }
}
