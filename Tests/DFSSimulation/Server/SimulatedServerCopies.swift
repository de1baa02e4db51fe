internal import DFSCore
internal import DFSReplication

/// What travels with a change for one server: small copies, those for others too, and copies that must
/// be here.
struct SimulatedParts {
  var small: [PartID] = []
  var held: [PartID] = []
  var durable = false
}

/// What is found where a copy should be.
enum SimulatedCopy {
  case good
  case absent
  case damaged
  case unreadable
}

/// A server's copies: what UserStore does with them.
extension SimulatedServer {
  /// Copies that it says at once that it lacks.
  static let wantedPage = 4

  func drop(_ ids: [PartID]) {
    remove(
      ids.filter { disk.asking($0) == nil && disk.current.copies.unreferenced[$0] == nil },
      byWriter: true)
  }

  /// - Returns: whether it is stored.
  func store(_ id: PartID, syncs: Bool, session: Int) -> Bool {
    if disk.isFull {
      world.counts.refused += 1
      return world.mistake == .fullDiskAcknowledged
    }
    if let file = disk.files[id], !file.isReadable(world.now),
      world.mistake == .unreadableCopiesStay
    {
      return false
    }
    copySessions.completed(
      session, id, now: world.now, idle: world.settings.uploadIdle)
    guard disk.put(id, syncs: syncs && disk.syncsCopies) else { return false }
    disk.found(id, keepsGarbage: world.mistake == .broughtCopiesStayUnreferenced)
    return true
  }

  /// - Parameter block: nil for all.
  func read(_ id: PartID, _ block: Int?) -> SimulatedCopy {
    if let file = disk.files[id] {
      if !file.isReadable(world.now) { return .unreadable }
      let isBad = block.map(file.badBlocks.contains) ?? !file.badBlocks.isEmpty
      if !isBad { return .good }
    } else {
      switch disk.current.copies.small[id] {
      case true?: return .good
      case false?: break
      case nil:
        if disk.current.copies.retained[id] != nil { return .good }
        disk.lost(id, isDamaged: false)
        return .absent
      }
    }
    disk.lost(id, isDamaged: true)
    return .damaged
  }

  func missing(
    _ session: Int, claims: Bool, after last: PartID?, limit: Int
  ) -> [MissingCopy] {
    let claimed = claims ? copySessions.claimed(now: world.now) : []
    let missing = disk.current.copies.missing.keys.inOrder.filter { id in
      !claimed.contains(id) && last.map { $0.order < id.order } ?? true
    }
    let copies = missing.prefix(min(limit, Self.wantedPage)).compactMap { id -> MissingCopy? in
      guard let inode = disk.current.copies.missing[id],
        let content = disk.current.rows[.inode(inode)]?.value.content
      else { return nil }
      return MissingCopy(id: id, inode: inode, content: content)
    }
    if claims {
      copySessions.claim(
        session, copies.map(\.id), until: world.now + world.settings.claimPeriod)
    }
    return copies
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
