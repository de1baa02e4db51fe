internal import DFSClient
internal import DFSCore
internal import Glibc
internal import Synchronization

/// Attributes, links' targets, extended attributes and space.
extension FileSystem {
  /// - Parameter handle: the open file through which is asked: it has the size of what it reads.
  func attributes(of id: InodeID, handle: UInt64? = nil) async throws -> Reply {
    var attributes = try await currentAttributes(of: id)
    if let handle, let file = try? handles.file(handle).file, file.size != attributes.size {
      attributes.size = file.size
      attributes.isPassing = true
      attributes = told(attributes, of: file)
    }
    return .attributes(attributes)
  }

  private func currentAttributes(of id: InodeID) async throws -> Attributes {
    let mark = nodes.mark
    do {
      let current = attributes(try await service.inode(id, .pushed), since: mark)
      if id == .root { lastRoot.withLock { $0 = current } }
      return current
    } catch let error as DFSError where id == .root && error.code == .serversMissing {
      // So that df and ls -d work on a mount whose servers are all away.
      guard let known = lastRoot.withLock({ $0 }) else { throw error }
      return known
    } catch let error as DFSError where error.isAbsence {
      // Removed, and open here.
      guard let file = files[id] else {
        throw DFSError(.staleHandle, "inode \(id) is gone", cause: error)
      }
      file.markRemoved()
      return file.ownAttributes
    }
  }

  /// - Parameter handle: the open file, for ftruncate(2); without one a new size is published here.
  func setAttributes(
    of id: InodeID, _ request: AttributeRequest, handle: UInt64?,
    progress: @escaping @Sendable () -> Void
  ) async throws -> Reply {
    if let size = request.size { try await resize(id, to: size, handle: handle, progress) }
    if request.change != AttributeChange() {
      if let file = files[id], file.state.withLock({ $0.isRemoved }) {
        return .attributes(file.change(request.change))
      }
      let inode = try await service.setAttributes(id, request.change)
      files[id]?.learn(inode, modified: request.change.modified)
      nodes.note(inode)
    }
    return try await attributes(of: id, handle: handle)
  }

  private func resize(
    _ id: InodeID, to size: UInt64, handle: UInt64?, _ progress: @escaping @Sendable () -> Void
  ) async throws {
    if let handle {
      return try await handles.file(handle).file.truncate(to: size, progress: progress)
    }
    try await context.checkWritable()
    let file = try await openFile(id).file
    do {
      try await file.truncate(to: size, progress: progress)
      try await file.publish(durable: false, progress: progress)
    } catch {
      await close(file)
      throw error
    }
    await close(file)
  }

  func target(of id: InodeID) async throws -> Reply {
    .target(try await service.inode(id, .pushed).target)
  }

  func statistics() async throws -> Reply { .space(try await space.report()) }

  // MARK: Extended attributes

  func extendedAttribute(of id: InodeID, _ name: [UInt8], limit: Int) async throws -> Reply {
    if id == .root, name == Array(ServingProcess.attribute.utf8) {
      return .value(Array("\(getpid())".utf8), limit: limit)
    }
    let name = try FileName(attribute: name)
    guard let value = try await service.extendedAttributes(id)[name] else {
      throw DFSError(.noAttribute, "inode \(id) has no attribute '\(name)'")
    }
    return .value(value, limit: limit)
  }

  func extendedAttributes(of id: InodeID, limit: Int) async throws -> Reply {
    let names = try await service.extendedAttributes(id).keys.sorted()
    return .value(names.flatMap { $0.bytes + [0] }, limit: limit)
  }

  func setExtendedAttribute(
    of id: InodeID, _ name: [UInt8], _ value: [UInt8], _ mode: AttributeSetMode
  ) async throws -> Reply {
    guard value.count <= Limits.attributeValueBytes else {
      throw DFSError(
        .noSpace,
        "an attribute of \(value.count) bytes; the bound is \(Limits.attributeValueBytes)")
    }
    try await service.setExtendedAttribute(id, try FileName(attribute: name), value, mode)
    return .done
  }

  func removeExtendedAttribute(of id: InodeID, _ name: [UInt8]) async throws -> Reply {
    try await service.removeExtendedAttribute(id, try FileName(attribute: name))
    return .done
  }
}

extension FileName {
  /// The name of an extended attribute. Those of the kernel's own name spaces (capabilities, lists
  /// of access) are not kept.
  init(attribute name: [UInt8]) throws(DFSError) {
    guard name.starts(with: "user.".utf8) || name.starts(with: "trusted.".utf8) else {
      throw DFSError(.unsupported, "only attributes in 'user.' and 'trusted.' are kept")
    }
    guard name.count <= Limits.attributeNameBytes else {
      throw DFSError(
        .outOfRange,
        "an attribute's name of \(name.count) bytes; the bound is \(Limits.attributeNameBytes)")
    }
    guard !name.contains(UInt8(ascii: "/")) else {
      throw DFSError(.unsupported, "an attribute's name with '/'")
    }
    try self.init(name)
  }
}
