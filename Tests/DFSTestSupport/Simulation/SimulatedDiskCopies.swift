internal import DFSCore
internal import DFSReplication

/// The copies on a server's disk: those that are files, and what the tables say of all.
extension SimulatedDisk {
  var files: [PartID: SimulatedFile] { setting.files }

  func isHere(_ id: PartID) -> Bool {
    setting.files[id] != nil || current.copies.small[id] != nil
  }

  func hasGood(_ id: PartID) -> Bool {
    if let file = setting.files[id] { return file.damage == .none }
    return current.copies.small[id] ?? false
  }

  /// All copies that are good.
  var good: Set<PartID> {
    Set(setting.files.keys).union(current.copies.small.keys).filter(hasGood)
  }

  // MARK: Files

  mutating func put(_ id: PartID, content: PartID, syncs: Bool) {
    setting.files[id] = SimulatedFile(content: content, completed: setting.now, isSynced: syncs)
  }

  mutating func syncFiles(_ ids: some Sequence<PartID>) {
    for id in ids { setting.files[id]?.isSynced = true }
  }

  /// Brings everything to stable storage.
  mutating func syncAll() {
    if syncsCopies { syncFiles(Array(setting.files.keys)) }
    sync()
  }

  mutating func remove(_ id: PartID) {
    guard let file = setting.files.removeValue(forKey: id) else { return }
    removed[id] = file
  }

  /// The power fails: what was not synced is gone, or has holes; what was removed may be back.
  mutating func losePowerOfFiles(_ random: inout SplitMix64) {
    for id in setting.files.keys.inOrder where setting.files[id]?.isSynced == false {
      switch random.below(3) {
      case 0: setting.files[id] = nil
      case 1: setting.files[id]?.damage = .flipped
      default: break
      }
    }
    for id in removed.keys.inOrder where setting.files[id] == nil && random.chance(30) {
      setting.files[id] = removed[id]
    }
    removed = [:]
  }

  /// A copy goes bad.
  mutating func damage(_ random: inout SplitMix64) -> PartID? {
    let all = (Array(setting.files.keys) + Array(current.copies.small.keys)).inOrder
    guard !all.isEmpty else { return nil }
    let id = random.pick(all)
    let damage: SimulatedFile.Damage = random.chance(60) ? .flipped : .unreadable
    if setting.files[id] != nil {
      setting.files[id]?.damage = damage
    } else {
      damageSmall(id)
    }
    return id
  }

  // MARK: Tables

  /// The inode that asks this server for the copy.
  func asking(_ id: PartID) -> InodeID? { current.asking(id, setting.duty) }

  /// Notes that a copy that a row asks for is not here, or damaged.
  mutating func lost(_ id: PartID, isDamaged: Bool) {
    guard let inode = asking(id), isDamaged || !isHere(id), current.copies.wanted[id] == nil
    else { return }
    current.copies.want(id, for: inode)
    commit(syncs: false)
  }

  /// A good copy has come, as a file: whoever brought it is about to have it asked for.
  mutating func found(_ id: PartID, keepsGarbage: Bool) {
    let copies = current.copies
    guard copies.wanted[id] != nil || copies.small[id] != nil || copies.garbage[id] != nil
    else { return }
    current.copies.wanted[id] = nil
    if !keepsGarbage { current.copies.garbage[id] = nil }
    current.copies.small[id] = nil
    commit(syncs: false)
  }

  /// Every copy that is asked for and is neither wanted nor here is wanted.
  mutating func audit() {
    let lost = current.asked(setting.duty).filter { id, _ in
      !isHere(id) && current.copies.wanted[id] == nil
    }
    guard !lost.isEmpty else { return }
    for (id, inode) in lost { current.copies.want(id, for: inode) }
    commit(syncs: false)
  }

  mutating func forget(_ ids: [PartID]) {
    for id in ids {
      current.copies.small[id] = nil
      current.copies.garbage[id] = nil
    }
    if !ids.isEmpty { commit(syncs: false) }
  }

  /// Damage is on the disk, whatever was synced.
  private mutating func damageSmall(_ id: PartID) { current.copies.small[id] = false }
}

extension SimulatedDisk.State {
  /// The contents that rows name, by their inodes.
  var contents: [(inode: InodeID, content: RowContent)] {
    rows.values.compactMap { row in
      guard case .inode(let inode) = row.key, let content = row.value.content else { return nil }
      return (inode, content)
    }.sorted { $0.inode < $1.inode }
  }

  /// The copies that rows ask a server for.
  func asked(_ duty: CopyDuty) -> [(PartID, InodeID)] {
    contents.flatMap { inode, content in duty.copies(of: content).map { ($0, inode) } }
  }

  func asking(_ id: PartID, _ duty: CopyDuty) -> InodeID? {
    for case (.inode(let inode), let row) in rows where row.value.version == id.version {
      if duty.copies(of: row.value.content).contains(id) { return inode }
    }
    return nil
  }

  mutating func changed(
    _ key: RowKey, from old: Row?, to new: Row?, number: UInt64, _ setting: SimulatedDisk.Setting
  ) {
    guard case .inode(let inode) = key else { return }
    let difference = setting.duty.difference(from: old?.value.content, to: new?.value.content)
    var copies = copies
    copies.changed(
      inode, difference, number: number, now: setting.now,
      isAsked: { asking($0, setting.duty) != nil }, isHere: { setting.files[$0] != nil })
    self.copies = copies
  }

  /// After all rows were replaced: what they do not ask for may be asked for again by the next change
  /// (a publish that was undone is tried again), so that one must be committed before it goes.
  mutating func takeCopies(
    from old: Self, number: UInt64, _ setting: SimulatedDisk.Setting
  ) {
    copies = old.copies
    copies.garbage = old.copies.garbage.mapValues {
      CopyRelease(number: min($0.number, number + 1), sinceSeconds: $0.sinceSeconds)
    }
    let keys = Set(old.rows.keys).union(rows.keys).sorted { $0.order < $1.order }
    for key in keys where old.rows[key]?.value.content != rows[key]?.value.content {
      changed(key, from: old.rows[key], to: rows[key], number: number + 1, setting)
    }
  }
}
