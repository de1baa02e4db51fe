internal import DFSClient
internal import DFSCore
internal import DFSReplication
internal import DFSSystem

/// What a program does with the contents of files.
extension ClientOperation {
  func publish(_ place: Place, isLarge: Bool, keepsOthers: Bool) async throws -> Outcome {
    guard let parent = try await directory(of: place) else { return place.noDirectory }
    let count = isLarge ? ClientContent.largeBytes : ClientContent.smallBytes
    let content = BytesContent(ClientContent.bytes(token, count: count))
    let target = try await target(in: parent, place.name, keepsOthers: keepsOthers)
    do {
      let inode = try await client.publish(
        content, to: target, durable: isDurable, progress: nil)
      guard let content = inode.content else {
        return .misread(.inode(inode.id), "it was published, and has no content")
      }
      return .published(inode.id, content.placed)
    } catch let error as DFSError where error.code == .staleHandle || error.code == .notFound {
      // The file, or the directory, was removed meanwhile.
      return .failed(error)
    }
  }

  private func target(
    in parent: InodeID, _ name: FileName, keepsOthers: Bool
  ) async throws -> PublishTarget {
    do {
      let inode = try await namespace.lookup(parent, name, .current)
      notes.opened(
        token, .init(inode: inode.id, version: inode.version, keepsOthers: keepsOthers))
      if keepsOthers { try await environment.sleep(for: .milliseconds(20)) }
      let opened = OpenedVersion(
        version: inode.version?.id, parent: parent, name: name, host: "world")
      return .inode(
        inode.id, modified: environment.time, changed: environment.time,
        opened: keepsOthers ? opened : nil)
    } catch let error as DFSError where error.code == .notFound {
      let new = NewInode(kind: .regular, mode: 0o644, owner: UInt32(token), group: 0)
      return .name(parent: parent, name, new)
    }
  }

  func read(_ place: Place) async throws -> Outcome {
    guard let parent = try await directory(of: place) else { return place.noDirectory }
    let key = RowKey.entry(parent: parent, name: place.name)
    do {
      let inode = try await namespace.lookup(parent, place.name, .current)
      guard let version = inode.version else { return .saw(key, inode) }
      client.pin(version)
      defer { client.unpin(version) }
      defer { notes.released(token) }
      if awaitsPins { await hold(version) }
      let bytes = try await bytes(of: version)
      let isRight = version.md5.map { $0 == .of(bytes) } ?? true
      guard let vector = CellVector(bytes), isRight else {
        return .misread(key, "version \(version.brief) came with other bytes")
      }
      return .read(key, inode, vector)
    } catch let error as DFSError where error.code == .notFound {
      return .saw(key, nil)
    }
  }

  /// Notes, when servers were told, that they hold all that a version is made of.
  private func hold(_ version: Version) async {
    let since = notes.now
    await client.untilPinned()
    notes.holds(
      token,
      .init(
        client: program, contents: Set(version.contents.map(\.id)), since: since, told: notes.now))
  }

  // MARK: Layers

  func patch(_ place: Place, _ keepsOthers: Bool) async throws -> Outcome {
    guard let parent = try await directory(of: place) else { return place.noDirectory }
    do {
      let inode = try await namespace.lookup(parent, place.name, .current)
      return try await patch(inode, parent, place.name, keepsOthers)
    } catch let error as DFSError where error.code == .notFound {
      return .saw(.entry(parent: parent, name: place.name), nil)
    }
  }

  func patchAgain(_ place: Place, _ inode: Inode, _ keepsOthers: Bool) async throws -> Outcome {
    guard let parent = try await directory(of: place) else { return place.noDirectory }
    return try await patch(inode, parent, place.name, keepsOthers)
  }

  private func patch(
    _ inode: Inode, _ parent: InodeID, _ name: FileName, _ keepsOthers: Bool
  ) async throws -> Outcome {
    let below = inode.version
    if let below { client.pin(below) }
    defer { if let below { client.unpin(below) } }
    notes.opened(token, .init(inode: inode.id, version: below, keepsOthers: keepsOthers))
    let isLong = environment.random() < 0.25
    try await environment.sleep(for: .milliseconds(isLong ? 400 : 10))
    let cells = CellPatch(token, over: below?.size)
    let attributes =
      token.isMultiple(of: 2)
      ? NewInode(kind: .regular, mode: 0o644, owner: UInt32(token), group: 0) : nil
    let opened = OpenedVersion(
      version: below?.id, parent: parent, name: name, host: "world", attributes: attributes)
    do {
      let patched = try await client.publish(
        BytesContent(cells.bytes),
        as: .layer(Patch(over: below, cells.extents, cut: cells.cutBytes, size: cells.size)),
        to: .inode(
          inode.id, modified: environment.time, changed: environment.time,
          opened: keepsOthers ? opened : nil),
        durable: isDurable, progress: nil
      ).inode
      guard let version = patched.version else {
        return .misread(.inode(patched.id), "it was published, and has no content")
      }
      // The file stays open; who waits for this lets it go.
      client.pin(version)
      return .patched(patched)
    } catch let error as DFSError where error.code == .staleHandle || error.code == .notFound {
      // The file was removed meanwhile.
      return .failed(error)
    }
  }

  func settle(_ place: Place) async throws -> Outcome {
    guard let parent = try await directory(of: place) else { return place.noDirectory }
    do {
      let inode = try await namespace.lookup(parent, place.name, .current)
      let settling = try await client.settle(inode.id) { _ in }
      guard settling == .settled else {
        return .failed(DFSError(.timedOut, "inode \(inode.id) was changed while it was settled"))
      }
      return .settled(inode.id)
    } catch let error as DFSError where error.code == .notFound {
      return .saw(.entry(parent: parent, name: place.name), nil)
    }
  }

  /// In steps, with pauses in which it may be replaced and collected.
  private func bytes(of version: Version) async throws -> [UInt8] {
    var bytes: [UInt8] = []
    while UInt64(bytes.count) < version.size {
      let start = UInt64(bytes.count)
      bytes += try await client.read(version, start..<start + max(1, version.size / 4))
      let isLong = environment.random() < 0.2
      try await environment.sleep(for: .milliseconds(isLong ? 800 : 5))
    }
    return bytes
  }

  /// Nil if it is not there.
  func directory(of place: Place) async throws -> InodeID? {
    guard let directory = place.directory else { return .root }
    do {
      return try await namespace.lookup(.root, directory, .current).id
    } catch let error as DFSError where error.code == .notFound {
      return nil
    }
  }
}

extension Content {
  /// Where its copies are, as servers see it.
  var placed: RowContent {
    RowContent(version: id, placement: placement, home: Placement(md5: md5))
  }
}
