internal import DFSClient
internal import DFSCore
internal import DFSSystem
internal import DFSTestSupport

/// What a program does with files under locks.
extension ClientOperation {
  /// Locks one file or two, reads, perhaps writes, and gives the locks back.
  struct Section: Sendable {
    struct Place: Sendable {
      /// One of `ClientOperation.lockedFiles`; on the second programs use flock.
      let file: Int
      /// Of which parts; all of them with flock.
      let cells: ClosedRange<Int>

      func lock(_ owner: UInt64, isExclusive: Bool) -> FileLock {
        file == 1
          ? FileLock(FileLock.Owner(.whole, owner), 0 ... .max, isExclusive: isExclusive)
          : FileLock(
            FileLock.Owner(.ranges, owner),
            UInt64(cells.lowerBound) * 10...UInt64(cells.upperBound) * 10 + 9,
            isExclusive: isExclusive)
      }
    }

    var places: [Place]
    var isExclusive: Bool
    var waits: Bool
    /// Who does not wait tries again.
    var insists = false
    /// Whether it is made sure of that what was written is stored, before the locks go.
    var syncs: Bool
    /// Whether it reads again under shared locks, in the place of exclusive ones.
    var weakens: Bool
    /// Between reading and writing.
    var pause: Duration

    var brief: String {
      let places = places.map { $0.file == 1 ? "all of file 1" : "\($0.cells) of file \($0.file)" }
      return "section(\(places.joined(separator: ", ")), "
        + "\(isExclusive ? "exclusive" : "shared")\(waits ? ", waits" : "")\(syncs ? ", syncs" : "")"
        + "\(weakens ? ", weakens" : ""))"
    }

    static func random(_ random: inout SplitMix64) -> Self {
      let one = place(random.chance(70) ? 0 : 1, &random)
      return Self(
        // In one order: nobody tells that a flock is waited for in a circle.
        places: one.file == 0 && random.chance(20) ? [one, place(1, &random)] : [one],
        isExclusive: random.chance(75), waits: random.chance(80), syncs: random.chance(40),
        weakens: random.chance(20),
        pause: .milliseconds(random.chance(20) ? random.below(400) : random.below(8)))
    }

    /// One that must be granted some time.
    static func proof(_ slot: Int) -> Self {
      Self(
        places: [Place(file: slot % 2, cells: 0...1)], isExclusive: true, waits: slot % 4 < 2,
        insists: true, syncs: true, weakens: false, pause: .milliseconds(1))
    }

    private static func place(_ file: Int, _ random: inout SplitMix64) -> Place {
      if file == 1 { return Place(file: file, cells: 0...1) }
      let first = random.below(2)
      return Place(file: file, cells: first...(random.chance(30) ? 1 : first))
    }
  }

  static let lockedFiles = fileNames("locked", 2)

  func perform(_ section: Section) async throws -> Outcome {
    guard let locks = client.locks else { return .failed(DFSError(.unsupported, "no locks")) }
    var held: [(id: InodeID, lock: FileLock)] = []
    let result: Result<Void, any Error>
    do {
      for place in section.places {
        let id = try await lockedFile(place.file)
        let lock = place.lock(token, isExclusive: section.isExclusive)
        try await get(lock, of: id, section, locks)
        held.append((id, lock))
        let cells = place.cells.map { LockedCell(inode: id, index: $0) }
        sections.granted(token, of: program, cells, isExclusive: section.isExclusive)
      }
      try await use(section, locks)
      if section.isExclusive, section.weakens { try await weaken(section, held, locks) }
      result = .success(())
    } catch {
      result = .failure(error)
    }
    for (id, lock) in held.reversed() { await locks.unlock(id, 0 ... .max, of: lock.owner) }
    try result.get()
    sections.ended(token)
    return .underLocks
  }

  private func get(
    _ lock: FileLock, of id: InodeID, _ section: Section, _ locks: any LockService
  ) async throws {
    while true {
      do {
        return try await locks.lock(id, lock, waits: section.waits)
      } catch let error as DFSError where error.code == .wouldBlock && section.insists {
        try await environment.sleep(for: .milliseconds(100))
      }
    }
  }

  private func use(_ section: Section, _ locks: any LockService) async throws {
    let cells = sections.cells(of: token)
    for cell in cells {
      let tokens = try await files.read(cell)
      // As a mount does: what was read counts if the locks were held until then.
      try await prove(cell.inode, locks)
      sections.read(token, cell, tokens)
    }
    try await environment.sleep(for: section.pause)
    for cell in cells {
      try await prove(cell.inode, locks)
      guard section.isExclusive else { continue }
      files.append(token, to: cell)
      sections.wrote(token, cell)
    }
    guard section.isExclusive, section.syncs else { return }
    for cell in cells { try await files.sync(cell.inode) }
    sections.synced(token)
  }

  private func weaken(
    _ section: Section, _ held: [(id: InodeID, lock: FileLock)], _ locks: any LockService
  ) async throws {
    for (place, (id, lock)) in zip(section.places, held) {
      let shared = place.lock(lock.owner.number, isExclusive: false)
      try await locks.lock(id, shared, waits: true)
      sections.weakened(token, place.cells.map { LockedCell(inode: id, index: $0) })
    }
    for cell in sections.cells(of: token) {
      let tokens = try await files.read(cell)
      try await prove(cell.inode, locks)
      sections.read(token, cell, tokens)
    }
  }

  private func prove(_ id: InodeID, _ locks: any LockService) async throws {
    if locks.isInDoubt(id) { try await locks.prove(id) }
  }

  /// A file that programs lock, made by who comes first.
  private func lockedFile(_ index: Int) async throws -> InodeID {
    let name = Self.lockedFiles[index]
    do {
      return try await namespace.lookup(.root, name, .current).id
    } catch let error as DFSError where error.code == .notFound {
      let new = NewInode(kind: .regular, mode: 0o644, owner: UInt32(token), group: 0)
      return try await namespace.transact(ChangeParts(), policy: .quorum) { change in
        if let inode = try await change.child(.root, name) { return inode.id }
        return try await change.create(.root, name, new).id
      }.value
    }
  }
}
