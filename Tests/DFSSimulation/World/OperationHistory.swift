internal import DFSCore
internal import DFSReplication

/// What programs were told, and whether it can be true: everything is replayed in the order of the change
/// numbers on which the servers agree at the end.
final class OperationHistory {
  private struct Entry {
    let kind: ClientOperation.Kind
    let client: ClientID
    let slot: Int
    let began: Int
    let isDurable: Bool
    var ended: Int?
    var outcome: ClientOperation.Outcome?

    /// Whether what forbade the operation may have been written, and written again, by operations that became
    /// one change.
    func mayHaveSeen(_ key: RowKey, amid change: Change?) -> Bool {
      kind.isChange && change?.id.client == client
        && change?.writes.contains { $0.key == key } ?? false
    }
  }

  private struct Problem: Error { let text: String }

  private unowned let world: World
  private var entries: [Entry] = []
  /// When all lost what was not synced, the last time.
  private var powerLost: Int?

  init(world: World) { self.world = world }

  // MARK: What happened

  /// - Returns: the operation's token.
  func begun(
    _ kind: ClientOperation.Kind, by client: ClientID, slot: Int, at now: Int, isDurable: Bool
  ) -> UInt64 {
    entries.append(
      Entry(kind: kind, client: client, slot: slot, began: now, isDurable: isDurable))
    return UInt64(entries.count)
  }

  func ended(_ token: UInt64, _ outcome: ClientOperation.Outcome, at now: Int) {
    let index = Int(token) - 1
    (entries[index].ended, entries[index].outcome) = (now, outcome)
    switch outcome {
    case .counted, .created, .removed, .named, .marked: world.counts.acknowledged += 1
    case .saw, .exists, .notEmpty, .sawCounters, .sawList: world.counts.reads += 1
    case .failed: world.counts.failed += 1
    case .unknown: world.counts.unknown += 1
    }
  }

  /// Its program was killed.
  func unknown(_ token: UInt64) {
    entries[Int(token) - 1].outcome = .unknown
    world.counts.unknown += 1
  }

  func powerLost(at now: Int) { powerLost = now }

  /// What was told before all lost power, and was not on stable storage, may be gone.
  private func mayBeGone(_ entry: Entry) -> Bool {
    !(entry.isDurable && entry.outcome?.isChange ?? false) && entry.began <= powerLost ?? -1
  }

  // MARK: Judging

  /// What is wrong; nil if all is right.
  func problem(in state: SimulatedDisk.State) -> String? {
    let replay = Replay(state.archive)
    do {
      try judgeChanges(state.archive, replay)
      try judgeOrder(replay)
      try judgeLinks(state.rows)
      return nil
    } catch {
      return (error as? Problem)?.text ?? "\(error)"
    }
  }

  /// Each change was made once, by operations that may have happened, and found what it must have found.
  private func judgeChanges(_ archive: [Change], _ replay: Replay) throws {
    var seen: Set<ChangeID> = []
    var marks: Set<UInt64> = []
    for (index, change) in archive.enumerated() {
      let number = UInt64(index + 1)
      let name = "change \(number) (\(change.id.sequence) of client \(change.id.client.value))"
      guard seen.insert(change.id).inserted else { throw Problem(text: "\(name) is there twice") }
      for write in change.writes {
        let before = replay.row(write.key, at: number - 1)
        switch write.key {
        case .attribute(.root, _):
          let (old, new) = (before?.value.bytes ?? [], write.value?.bytes ?? [])
          guard new.starts(with: old), new.count > old.count else {
            throw Problem(text: "\(name): an update was lost")
          }
          for token in tokens(new.dropFirst(old.count)) { try judge(token, change, name) }
        case .entry(let parent, _):
          guard
            write.value == nil || parent == .root || replay.row(.inode(parent), at: number) != nil
          else {
            throw Problem(text: "\(name): an entry of directory \(parent), which is not there")
          }
          // A name that is made and removed by one change leaves a row that was not there.
          guard let child = write.value?.child, child.value >> 8 == number else { continue }
          // What had the name lost it by the same change, which then wrote its inode too.
          let old = before?.value.child
          guard old.map({ id in change.writes.contains { $0.key == .inode(id) } }) ?? true else {
            throw Problem(text: "\(name): the name that it creates was there")
          }
          let row = replay.row(.inode(child), at: number)
          guard let row, let inode = try? Inode(id: child, row: row.value.bytes) else {
            throw Problem(text: "\(name): a name without an inode")
          }
          try judge(UInt64(inode.owner), change, name)
        case .inode(let id):
          guard let row = write.value, let inode = try? Inode(id: id, row: row.bytes) else {
            continue
          }
          let old = try before.map { try Inode(id: id, row: $0.value.bytes) }
          guard inode.group != old?.group ?? 0 else { continue }
          guard marks.insert(UInt64(inode.group)).inserted else {
            throw Problem(text: "\(name): the group of inode \(id) became an old one")
          }
          try judge(UInt64(inode.group), change, name)
        default: continue
        }
      }
    }
  }

  private func tokens(_ bytes: ArraySlice<UInt8>) -> [UInt64] {
    stride(from: bytes.startIndex, to: bytes.endIndex, by: 8).map {
      UInt64(bigEndian: Array(bytes[$0..<min($0 + 8, bytes.endIndex)]))
    }
  }

  /// An operation that a change has performed.
  private func judge(_ token: UInt64, _ change: Change, _ name: String) throws {
    guard token > 0, token <= UInt64(entries.count) else {
      throw Problem(text: "\(name): nobody made it")
    }
    let entry = entries[Int(token) - 1]
    guard entry.client == change.id.client else {
      throw Problem(text: "\(name): operation \(token) is of client \(entry.client.value)")
    }
    switch entry.outcome {
    case .counted, .created, .marked, .unknown, nil: break
    default: throw Problem(text: "\(name): operation \(token) was told not to have happened")
    }
  }

  /// Every answer belongs to a moment of the replay; an operation that began after another one had ended
  /// must not belong to an earlier moment.
  private func judgeOrder(_ replay: Replay) throws {
    var moments: [(ended: Int, moment: UInt64, token: UInt64)] = []
    let told = entries.enumerated().compactMap { index, entry -> (UInt64, Entry, Int)? in
      guard let ended = entry.ended, !mayBeGone(entry) else { return nil }
      return (UInt64(index + 1), entry, ended)
    }
    for (token, entry, ended) in told.sorted(by: { $0.2 < $1.2 }) {
      let before = moments.filter { $0.ended < entry.began }.max { $0.moment < $1.moment }
      let floor = before?.moment ?? 0
      do {
        if let moment = try moment(of: token, entry, after: floor, replay) {
          moments.append((ended, moment, token))
        }
      } catch let problem as Problem {
        throw Problem(
          text:
            "client \(entry.slot), \(entry.began) to \(ended), operation \(token) after operation \(before?.token ?? 0): "
            + problem.text)
      }
    }
  }

  private func moment(
    of token: UInt64, _ entry: Entry, after floor: UInt64, _ replay: Replay
  ) throws -> UInt64? {
    switch entry.outcome {
    case .counted:
      guard case .count(let names) = entry.kind else { return nil }
      let numbers = names.map { replay.number(appending: token, to: $0) }
      guard let number = numbers[0], numbers.allSatisfy({ $0 == number }) else {
        throw Problem(text: "an acknowledged count is in changes \(numbers)")
      }
      return try later(number, than: floor)
    case .created(let key, let id):
      let number = id.value >> 8
      guard replay.change(number)?.id.client == entry.client,
        replay.row(.inode(id), at: number) != nil || replay.isRemoved(id, by: number)
      else {
        throw Problem(
          text: "acknowledged change \(number), which creates \(key.brief), is not there")
      }
      return try later(number, than: floor)
    case .removed(let key, _), .named(let key, _):
      return try written(key, by: entry, after: floor, replay)
    case .marked(let id): return try written(.inode(id), by: entry, after: floor, replay)
    case .saw(let key, let inode):
      return try first(from: floor, replay, "what was read of \(key.brief)") { moment in
        replay.row(key, at: moment)?.value.child == inode?.id
          && (inode.map { replay.has($0, at: moment) } ?? true)
          || entry.mayHaveSeen(key, amid: replay.change(moment))
      }
    case .exists(let key):
      return try first(from: floor, replay, "\(key.brief), which was told to be there,") {
        replay.row(key, at: $0)?.value.child != nil
          || entry.mayHaveSeen(key, amid: replay.change($0))
      }
    case .notEmpty(let directory):
      return try first(from: floor, replay, "that directory \(directory) is not empty") {
        !replay.entries(of: directory, at: $0).isEmpty
          || entry.mayHaveSeen(.inode(directory), amid: replay.change($0))
      }
    case .sawCounters(let attributes):
      return try first(from: floor, replay, "what was read of the counters") { moment in
        ClientOperation.counters.allSatisfy {
          replay.row(.attribute(.root, name: $0), at: moment)?.value.bytes == attributes[$0]
        }
      }
    case .sawList(let items):
      // Of several pages it may be of several moments.
      guard world.settings.refillPage >= 100 else { return nil }
      return try first(from: floor, replay, "what was listed") { moment in
        replay.entries(of: .root, at: moment) == items.mapValues(\.id)
      }
    case .failed, .unknown, nil: return nil
    }
  }

  /// Each inode has as many names as it says, each name an inode, and each entry a directory.
  private func judgeLinks(_ rows: [RowKey: Row]) throws {
    var names: [InodeID: [InodeID]] = [:]
    for case (.entry(let parent, _), let row) in rows {
      if let child = row.value.child { names[child, default: []].append(parent) }
    }
    var inodes: [InodeID: Inode] = [:]
    for case (.inode(let id), let row) in rows {
      inodes[id] = try Inode(id: id, row: row.value.bytes)
    }
    for (id, inode) in inodes {
      let parents = names.removeValue(forKey: id) ?? []
      let below = inodes.values.count { $0.kind == .directory && $0.id != id && $0.parent == id }
      let isRight =
        inode.kind == .directory
        ? id == .root
          ? inode.links == 2 + below : parents == [inode.parent] && inode.links == 2 + below
        : Int(inode.links) == parents.count
      guard isRight else {
        throw Problem(
          text:
            "inode \(id) has \(inode.links) links, names in \(parents), \(below) directories below")
      }
    }
    guard names.isEmpty else { throw Problem(text: "inodes \(names.keys) have names and no row") }
  }

  /// The earliest moment of an acknowledged change of a row.
  private func written(
    _ key: RowKey, by entry: Entry, after floor: UInt64, _ replay: Replay
  ) throws -> UInt64 {
    guard let number = replay.number(writing: key, by: entry.client, after: floor) else {
      throw Problem(text: "the acknowledged change of \(key) is not there after change \(floor)")
    }
    return number
  }

  private func later(_ number: UInt64, than floor: UInt64) throws -> UInt64 {
    guard number > floor else { throw Problem(text: "change \(number) comes after \(floor)") }
    return number
  }

  private func first(
    from floor: UInt64, _ replay: Replay, _ what: String, _ holds: (UInt64) -> Bool
  ) throws -> UInt64 {
    guard floor <= replay.last, let moment = (floor...replay.last).first(where: holds) else {
      throw Problem(text: "\(what) was not current after change \(floor)")
    }
    return moment
  }
}
