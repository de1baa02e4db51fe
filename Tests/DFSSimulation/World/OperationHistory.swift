internal import DFSCore
internal import DFSReplication

/// What programs were told, and whether it can be true: everything is replayed in the order of the change
/// numbers on which the servers agree at the end.
final class OperationHistory {
  struct Entry {
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

  struct Problem: Error { let text: String }

  unowned let world: World
  private(set) var entries: [Entry] = []
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
    case .published:
      world.counts.acknowledged += 1
      world.counts.publishes += 1
    case .patched(let inode):
      world.counts.acknowledged += 1
      world.counts.layers += 1
      judgePatched(token, inode)
    case .read(_, let inode, let vector):
      judgeBytes(token, inode, vector)
      world.counts.contentReads += 1
    case .misread(_, let problem): world.fail("operation \(token): \(problem)")
    case .saw, .exists, .notEmpty, .sawCounters, .sawList, .settled, .underLocks:
      world.counts.reads += 1
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
      try judgeVersions(replay)
      try judgeLayers(state.archive, replay)
      try judgeOrder(replay)
      try world.locks.judge(replay)
      try judgeLinks(state.rows)
      return nil
    } catch {
      return (error as? Problem)?.text ?? "\(error)"
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
    case .published(let id, let content):
      guard let number = replay.number(publishing: content.version, in: id) else {
        throw Problem(text: "the acknowledged version \(content.version.brief) is not there")
      }
      return try later(number, than: floor)
    case .patched(let inode):
      guard let version = inode.version?.id,
        let number = replay.number(publishing: version, in: inode.id)
      else {
        throw Problem(
          text: "the acknowledged version \(inode.version?.brief ?? "") is not there")
      }
      return try later(number, than: floor)
    case .settled(let id):
      return try first(from: floor, replay, "that inode \(id) is settled") {
        replay.inode(id, at: $0)?.version?.isSettled ?? true
      }
    case .read(let key, let inode, _):
      return try moment(of: key, inode, entry, after: floor, replay)
    case .saw(let key, let inode): return try moment(of: key, inode, entry, after: floor, replay)
    case .misread(let key, let problem): throw Problem(text: "\(key.brief): \(problem)")
    default: return try momentOfNames(entry, after: floor, replay)
    }
  }

  /// Of answers about names and counters.
  private func momentOfNames(
    _ entry: Entry, after floor: UInt64, _ replay: Replay
  ) throws -> UInt64? {
    switch entry.outcome {
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
    default: return nil
    }
  }

  /// The earliest moment at which a name led to an inode, or to none.
  private func moment(
    of key: RowKey, _ inode: Inode?, _ entry: Entry, after floor: UInt64, _ replay: Replay
  ) throws -> UInt64 {
    try first(from: floor, replay, "what was read of \(key.brief)") { moment in
      replay.row(key, at: moment)?.value.child == inode?.id
        && (inode.map { replay.has($0, at: moment) } ?? true)
        || entry.mayHaveSeen(key, amid: replay.change(moment))
    }
  }

  /// Each inode has as many names as it says, each name an inode, and each entry a directory.
  private func judgeLinks(_ rows: [RowKey: Row]) throws {
    var names: [InodeID: [InodeID]] = [:]
    for case (.entry(let parent, _), let row) in rows {
      if let child = row.value.child, parent != .listOfUnsettled {
        names[child, default: []].append(parent)
      }
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
