internal import DFSCore
internal import DFSReplication
internal import DFSTestSupport

/// The copies on a server's disk: those that are files, and what the tables say of all.
extension SimulatedDisk {
  var files: [PartID: SimulatedFile] { setting.files }

  func isHere(_ id: PartID) -> Bool {
    setting.files[id] != nil || current.copies.small[id] != nil
  }

  func hasGood(_ id: PartID) -> Bool {
    if let file = setting.files[id] { return file.isGood }
    return current.copies.small[id] ?? false
  }

  /// Whether it can be given to others, who lack it.
  func canGive(_ id: PartID) -> Bool { hasGood(id) || current.copies.retained[id] != nil }

  /// All copies that can be given.
  var good: Set<PartID> {
    Set(setting.files.keys).union(current.copies.small.keys).filter(hasGood)
      .union(current.copies.retained.keys)
  }

  // MARK: Files

  /// - Returns: whether it is here now; an fsync that failed makes it be quarantined.
  mutating func put(_ id: PartID, syncs: Bool) -> Bool {
    if syncs, failsCopySync {
      failsCopySync = false
      if !ignoresFailedSync { return false }
    }
    setting.files[id] = SimulatedFile(completed: setting.now, isSynced: syncs)
    return true
  }

  mutating func syncFiles(_ ids: [PartID]) {
    // Which one fails must not hang on a dictionary's order.
    for id in failsCopySync ? ids.inOrder : Array(ids) {
      guard let file = setting.files[id], file.isKnown, !file.isSynced else { continue }
      if failsCopySync, !ignoresFailedSync {
        failsCopySync = false
        quarantined.append(id)
        setting.files[id] = nil
        if let inode = asking(id) { current.copies.want(id, for: inode) }
      } else {
        setting.files[id]?.isSynced = true
      }
    }
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
      case 1: setting.files[id]?.badBlocks = Set(SimulatedFile.blocks)
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
    guard setting.files[id] != nil else {
      damageSmall(id)
      return id
    }
    switch random.below(100) {
    case ..<30: setting.files[id]?.badBlocks = Set(SimulatedFile.blocks)
    case ..<60: setting.files[id]?.badBlocks.insert(random.pick(Array(SimulatedFile.blocks)))
    case ..<80: setting.files[id]?.unreadableUntil = .max
    default: setting.files[id]?.unreadableUntil = setting.now + random.below(40_000)
    }
    return id
  }

  /// One block goes bad.
  mutating func flip(_ id: PartID, block: Int) { setting.files[id]?.badBlocks.insert(block) }

  func hasGood(_ id: PartID, block: Int) -> Bool {
    guard let file = setting.files[id] else { return current.copies.small[id] ?? false }
    return !file.badBlocks.contains(block) && file.unreadableUntil < .max
  }

  // MARK: Tables

  /// The inode that asks this server for the copy.
  func asking(_ id: PartID) -> InodeID? { current.asking(id, setting.required) }

  /// Notes that a copy that a row asks for is not here, or damaged.
  mutating func lost(_ id: PartID, isDamaged: Bool) {
    guard !isFull, let inode = asking(id), isDamaged || !isHere(id),
      current.copies.missing[id] == nil
    else { return }
    current.copies.want(id, for: inode)
    commit(syncs: false)
  }

  /// A good copy has come, as a file: whoever brought it is about to have it asked for.
  mutating func found(_ id: PartID, keepsGarbage: Bool) {
    let copies = current.copies
    guard !isFull else { return }
    guard copies.missing[id] != nil || copies.small[id] != nil || copies.unreferenced[id] != nil
    else { return }
    current.copies.missing[id] = nil
    if !keepsGarbage { current.copies.unreferenced[id] = nil }
    current.copies.small[id] = nil
    commit(syncs: false)
  }

  /// Every copy that is asked for and is neither missing nor here is missing.
  mutating func audit() {
    if isFull { return }
    let lost = current.asked(setting.required).filter { id, _ in
      !isHere(id) && current.copies.missing[id] == nil
    }
    guard !lost.isEmpty else { return }
    for (id, inode) in lost { current.copies.want(id, for: inode) }
    commit(syncs: false)
  }

  mutating func forget(_ ids: [PartID]) {
    if isFull { return }
    for id in ids {
      current.copies.small[id] = nil
      current.copies.unreferenced[id] = nil
    }
    if !ids.isEmpty { commit(syncs: false) }
  }

  /// Keeps what came with a change for other servers.
  mutating func retain(_ id: PartID, number: UInt64) {
    current.copies.retained[id] = SimulatedRetained(number: number, since: setting.now)
  }

  /// Forgets what others had time to be brought, since the change is known to be committed.
  /// - Parameter ages: the mistake of counting the time from when it came.
  mutating func trimRetained(keep: Int, ages: Bool) {
    if isFull || current.copies.retained.isEmpty { return }
    var retained = current.copies.retained
    for (id, entry) in retained where entry.number > 0 && entry.number <= current.committed {
      retained[id] = SimulatedRetained(number: 0, since: ages ? entry.since : setting.now)
    }
    retained = retained.filter { $1.number > 0 || $1.since + keep > setting.now }
    current.copies.retained = retained
    commit(syncs: false)
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

  /// What files are made of.
  var versions: [(inode: InodeID, version: Version)] {
    rows.values.compactMap { row in
      guard case .inode(let id) = row.key, let inode = try? Inode(id: id, row: row.value.bytes),
        inode.kind == .regular, let version = inode.version
      else { return nil }
      return (id, version)
    }.sorted { $0.inode < $1.inode }
  }

  /// The copies that rows ask a server for.
  func asked(_ required: RequiredReplicas) -> [(PartID, InodeID)] {
    contents.flatMap { inode, content in required.copies(of: content).map { ($0, inode) } }
  }

  func asking(_ id: PartID, _ required: RequiredReplicas) -> InodeID? {
    for case (.inode(let inode), let row) in rows where row.value.version == id.version {
      if required.copies(of: row.value.content).contains(id) { return inode }
    }
    return nil
  }

  mutating func changed(
    _ key: RowKey, from old: Row?, to new: Row?, number: UInt64, isTransfer: Bool = false,
    _ setting: SimulatedDisk.Setting
  ) {
    guard case .inode(let inode) = key else { return }
    let difference = setting.required.difference(from: old?.value.content, to: new?.value.content)
    var copies = copies
    copies.changed(
      inode, difference, number: number, now: setting.now, isTransfer: isTransfer,
      asking: { asking($0, setting.required) }, isHere: { setting.files[$0] != nil })
    self.copies = copies
  }

  /// After all rows were replaced: what they do not ask for may be asked for again by the next change
  /// (a publish that was undone is tried again), so that one must be committed before it goes.
  mutating func takeCopies(
    from old: Self, number: UInt64, _ setting: SimulatedDisk.Setting
  ) {
    copies = old.copies
    copies.unreferenced = old.copies.unreferenced.mapValues {
      CopyRelease(
        number: min($0.number, number + 1), sinceSeconds: $0.sinceSeconds,
        isTransferred: $0.isTransferred)
    }
    let keys = Set(old.rows.keys).union(rows.keys).sorted { $0.order < $1.order }
    for key in keys where old.rows[key]?.value.content != rows[key]?.value.content {
      changed(
        key, from: old.rows[key], to: rows[key], number: number + 1, isTransfer: true, setting)
    }
  }
}

extension RowKey {
  /// No dictionary's own order may decide anything.
  fileprivate var order: String {
    switch self {
    case .inode(let id): "1 \(id.value.bigEndianBytes.hexadecimal)"
    case .entry(let parent, let name): "2 \(parent.value.bigEndianBytes.hexadecimal) \(name)"
    case .attribute(let id, let name): "3 \(id.value.bigEndianBytes.hexadecimal) \(name)"
    }
  }
}
