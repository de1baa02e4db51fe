internal import DFSCore
internal import DFSReplication
internal import DFSTestSupport

/// What a server does from time to time: brings everything to stable storage, removes copies that
/// nobody needs (DFSStore's Collector), reads all copies back (its scrub).
extension SimulatedServer {
  func beginUpkeep() {
    every(world.settings.flushPause) { [self] in
      disk.syncAll()
      endIfFailed()
    }
    every(world.settings.collectionPause) { [self] in collect() }
    every(world.settings.scrubPause) { [self] in scrub() }
  }

  private func every(_ mean: Int, _ work: @escaping () -> Void) {
    world.after(mean / 2 + world.random.below(mean)) { [self] in
      if world.hasEnded { return }
      if isUp, world.now >= stillUntil {
        disk.setting.now = world.now
        work()
      }
      every(mean, work)
    }
  }

  // MARK: Collection

  private func collect() {
    if !disk.current.copies.unreferenced.isEmpty || !disk.current.copies.retained.isEmpty {
      disk.syncAll()
      if endIfFailed() { return }
      removeUnreferenced()
      disk.trimRetained(
        keep: world.settings.keepRetained, ages: world.mistake == .retainedAgesWhileAway)
    }
    removeOrphans(copySessions.unclaimed(completedBefore: orphanLimit))
    let interval = world.settings.sweepPause
    if copySessions.lastSweep.map({ world.now - $0 > interval }) ?? true { sweep() }
  }

  private var orphanLimit: Int { copySessions.lastAppend - world.settings.keepOrphans }

  private func removeUnreferenced() {
    let held = world.mistake == .collectionIgnoresReaders ? [] : copySessions.held
    let committed =
      world.mistake == .collectionIgnoresCommitted ? UInt64.max : disk.current.committed
    let ids = disk.current.copies.unreferenced.filter { id, release in
      release.mayRemove(
        committed: committed, durable: .max, isHeld: held.contains(id.version),
        nowSeconds: Int64(world.now),
        graceSeconds: Int64(
          release.isTransferred ? world.settings.keepTransferred : world.settings.keepReplaced))
    }.keys.inOrder
    remove(ids)
    disk.forget(ids)
  }

  private func removeOrphans(_ ids: [PartID]) {
    let orphans = ids.filter {
      disk.asking($0) == nil && disk.current.copies.unreferenced[$0] == nil
    }
    copySessions.asked(Set(ids).subtracting(orphans))
    let held = world.mistake == .orphansIgnoreReaders ? [] : copySessions.held
    for id in orphans where !held.contains(id.version) {
      if copySessions.forgetOrphan(id, now: world.now) { remove([id]) }
    }
  }

  private func sweep() {
    copySessions.lastSweep = world.now
    let limit = min(orphanLimit, world.now)
    removeOrphans(disk.files.filter { $1.completed <= limit }.keys.inOrder)
    disk.audit()
  }

  /// - Parameter byWriter: who stored them was told that nothing names them; who reads them read, with fewer than
  ///   three servers, what was never committed.
  func remove(_ ids: [PartID], byWriter: Bool = false) {
    for id in ids where disk.isHere(id) {
      if !byWriter, copySessions.held.contains(id.version) {
        world.fail("\(index) removes \(id.brief), which it holds for a client")
      }
      world.copies.removed(id, from: self, byWriter: byWriter)
      world.counts.collected += 1
      world.trace("\(index) removes \(id.brief)")
      disk.remove(id)
    }
  }

  // MARK: An fsync that failed

  /// Nothing is served or answered any more after an fsync of the database failed, until the server
  /// is started again.
  @discardableResult
  func endIfFailed() -> Bool {
    noteQuarantined()
    guard isUp, disk.hasFailed else { return false }
    world.counts.failedSyncs += 1
    world.trace("an fsync fails on \(index), which stops")
    stop()
    world.after(1 + world.random.below(20_000)) { [self] in start() }
    return true
  }

  // MARK: Scrub

  private func scrub() {
    for id in disk.files.keys.inOrder {
      guard let file = disk.files[id] else { continue }
      if !file.badBlocks.isEmpty || !file.isReadable(world.now) { disk.lost(id, isDamaged: true) }
    }
    for id in disk.current.copies.small.keys.inOrder where disk.current.copies.small[id] == false {
      disk.lost(id, isDamaged: true)
    }
    disk.audit()
  }
}
