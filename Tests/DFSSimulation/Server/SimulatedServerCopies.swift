internal import DFSCore
internal import DFSReplication

/// What travels with a change for one server: small copies, those for others too, and copies that must
/// be here.
struct SimulatedParts {
  var small: [PartID] = []
  var held: [PartID] = []
  var durable = false
}

/// What a client asks a server about copies.
enum SimulatedCopyRequest {
  case put(PartID, content: PartID, durable: Bool)
  /// - Parameter block: nil for all of it.
  case get(PartID, block: Int?)
  case hold(VersionID)
  case release(VersionID)
  /// The copies that the server lacks.
  /// - Parameter claims: whether the client is about to bring them.
  case missing(claims: Bool)
  case drop([PartID])
}

enum SimulatedCopyReply {
  case done
  case copy(content: PartID)
  case absent
  case damaged
  case failed
  /// Held; for the checks: the copies of the version that are here.
  case held([PartID])
  case missing([MissingCopy])
  /// The connection has ended.
  case noSession
}

/// A server's copies: what UserStore does with them.
extension SimulatedServer {
  /// Copies that it says at once that it lacks.
  static let wantedPage = 4

  func perform(
    _ request: SimulatedCopyRequest, session: Int, order: Int
  ) -> SimulatedCopyReply {
    guard hasSession(session) else { return .noSession }
    switch request {
    case .put(let id, let content, let durable):
      return put(id, content: content, syncs: durable || world.syncsAlways, session: session)
    case .get(let id, let block): return get(id, block)
    case .hold(let version):
      guard copySessions.isInOrder(session, version, order) else { return .done }
      copySessions.hold(session, version)
      return .held(PartIndex.all.map { PartID(version: version, part: $0) }.filter(disk.isHere))
    case .release(let version):
      guard copySessions.isInOrder(session, version, order) else { return .done }
      copySessions.release(session, version)
      return .done
    case .missing(let claims): return missing(session, claims: claims)
    case .drop(let ids):
      remove(ids.filter { disk.asking($0) == nil && disk.current.copies.unreferenced[$0] == nil })
      return .done
    }
  }

  private func put(
    _ id: PartID, content: PartID, syncs: Bool, session: Int
  ) -> SimulatedCopyReply {
    if disk.isFull {
      world.counts.refused += 1
      return world.mistake == .fullDiskAcknowledged ? .done : .failed
    }
    if let file = disk.files[id] {
      let isReadable = file.isReadable(world.now)
      if isReadable, file.isGood, file.content != content { return .failed }
      if !isReadable, world.mistake == .unreadableCopiesStay { return .failed }
    }
    copySessions.completed(
      session, id, now: world.now, idle: world.settings.uploadIdle)
    guard disk.put(id, content: content, syncs: syncs && disk.syncsCopies) else {
      return .failed
    }
    disk.found(id, keepsGarbage: world.mistake == .broughtCopiesStayUnreferenced)
    return .done
  }

  private func get(_ id: PartID, _ block: Int?) -> SimulatedCopyReply {
    if let file = disk.files[id] {
      if !file.isReadable(world.now) { return .failed }
      let isBad = block.map(file.badBlocks.contains) ?? !file.badBlocks.isEmpty
      if !isBad { return .copy(content: file.content) }
    } else {
      switch disk.current.copies.small[id] {
      case true?: return .copy(content: id)
      case false?: break
      case nil:
        if disk.current.copies.retained[id] != nil { return .copy(content: id) }
        disk.lost(id, isDamaged: false)
        return .absent
      }
    }
    disk.lost(id, isDamaged: true)
    return .damaged
  }

  private func missing(_ session: Int, claims: Bool) -> SimulatedCopyReply {
    let claimed = claims ? copySessions.claimed(now: world.now) : []
    let missing = disk.current.copies.missing.keys.inOrder.filter { !claimed.contains($0) }
    let copies = missing.prefix(Self.wantedPage).compactMap { id -> MissingCopy? in
      guard let inode = disk.current.copies.missing[id],
        let content = disk.current.rows[.inode(inode)]?.value.content
      else { return nil }
      return MissingCopy(id: id, inode: inode, content: content)
    }
    if claims {
      copySessions.claim(
        session, copies.map(\.id), until: world.now + world.settings.claimPeriod)
    }
    return .missing(copies)
  }

  /// Appends a change with what travels with it.
  func append(_ change: Change, _ parts: SimulatedParts) -> NamespaceReply {
    let missing = parts.held.filter { !disk.isHere($0) }
    guard missing.isEmpty else { return .missingParts(missing) }
    let asked = asked(by: change)
    for id in parts.small {
      if asked.contains(id) {
        disk.current.copies.small[id] = true
      } else if world.mistake != .retainedNotKept {
        disk.retain(id, number: head.number + 1)
      }
    }
    let syncs = world.syncsAppend() || parts.durable
    disk.append(change, syncs: syncs)
    copySessions.lastAppend = world.now
    copySessions.asked(asked)
    return .applied(head)
  }

  /// The copies that a change asks this server for.
  func asked(by change: Change) -> [PartID] {
    change.writes.flatMap { disk.setting.required.copies(of: $0.value?.content) }
  }
}
