internal import DFSCore
internal import DFSSystem
internal import Logging
internal import Synchronization

/// Puts layers of files together, and makes quiet files one content again: in the background, what this client
/// published as layers; on demand, and in passes, what others left.
///
/// Invariants:
/// - A version's bytes and its identity stay: readers notice nothing, and no conflict comes of it.
/// - Of each file one merge is under way here, and of all files one settling. Layers that are being settled are not
///   merged meanwhile, so settling ends though the file is written all the time.
/// - Nobody waits for the servers that a settling needs, which are all four: it is tried again later.
final class Settler: Sendable {
  /// Files that are waited for here; others are found in the list of what is not settled.
  private static let filesLimit = 10_000

  private struct State {
    var isStopped = false
    var waiting: [InodeID: Task<Void, Never>] = [:]
    var merging: [InodeID: Task<Void, Never>] = [:]
    /// Layers that are being settled.
    var frozen: Set<InodeID> = []
  }

  let publisher: Publisher
  let layers: LayerReader
  let pins: VersionPins
  let pace: Pace
  private let plan: LayerPace
  let logger: Logger
  let turn = AsyncLock()
  private let state = Mutex(State())

  var namespace: Namespace { publisher.namespace }
  var environment: any Environment { publisher.namespace.environment }

  init(
    _ publisher: Publisher, _ layers: LayerReader, _ pins: VersionPins, bytesPerSecond: Int?,
    plan: LayerPace, logger: Logger
  ) {
    (self.publisher, self.layers, self.pins) = (publisher, layers, pins)
    self.plan = plan
    self.logger = logger
    pace = Pace(bytesPerSecond: bytesPerSecond, publisher.namespace.environment)
  }

  // MARK: What this client published

  /// A layer was published: it is merged with others when there are enough, and settled when it is quiet.
  func published(_ inode: Inode) {
    guard let version = inode.version, !version.isSettled else { return }
    if mergeRun(of: version) != nil { _ = merge(inode.id) }
    state.withLock { state in
      guard !state.isStopped, state.waiting[inode.id] == nil,
        state.waiting.count < Self.filesLimit
      else { return }
      state.waiting[inode.id] = Task { await self.settleWhenQuiet(inode.id) }
    }
  }

  /// Before a layer is published: waits while a file has too many.
  func makeRoom(_ id: InodeID, _ progress: (@Sendable (UInt64) -> Void)?) async {
    for _ in 0..<plan.fan {
      guard let version = namespace.cache.inode(id).value?.version,
        version.layers.count >= LayerPlan.layersLimit
      else { return }
      progress?(0)
      await merge(id)?.value
    }
  }

  private func settleWhenQuiet(_ id: InodeID) async {
    defer { state.withLock { $0.waiting[id] = nil } }
    do {
      while !Task.isCancelled {
        let inode = try await namespace.inode(id, .pushed)
        guard let version = inode.version, !version.isSettled else { return }
        if let wait = time(until: inode, version), !LayerPlan.isHeavy(version) {
          try await environment.sleep(for: max(.seconds(1), wait))
          continue
        }
        guard try await settle(id, at: pace) != .settled else { return }
        try await environment.sleep(for: .seconds(1))
      }
    } catch {
      // The file is gone, or servers are: then whoever heals finds it in the list.
      logger.debug("a file is not settled yet", metadata: ["cause": "\(error)"])
    }
  }

  /// How long it is until a version is quiet; nil if it is.
  /// - Parameter factor: for those that are others' to settle.
  private func time(until inode: Inode, _ version: Version, factor: Int = 1) -> Duration? {
    let age = environment.time.nanoseconds - inode.changed.nanoseconds
    let left =
      LayerPlan.quiet(version, atLeast: plan.shortestQuiet) * factor - .nanoseconds(max(0, age))
    return left > .zero ? left : nil
  }

  // MARK: Merging

  private func mergeRun(of version: Version) -> Range<Int>? {
    let frozen = state.withLock { $0.frozen }
    return LayerPlan.run(of: version.layers, fan: plan.fan) { !frozen.contains($0.inode) }
  }

  /// Begins to merge what is to be merged of a file.
  /// - Returns: the task that does it; nil after the end.
  private func merge(_ id: InodeID) -> Task<Void, Never>? {
    state.withLock { state in
      if let task = state.merging[id] { return task }
      guard !state.isStopped else { return nil }
      let task = Task {
        do {
          while try await self.mergeOnce(id) {}
        } catch {
          self.logger.debug("layers are not merged", metadata: ["cause": "\(error)"])
        }
        self.state.withLock { $0.merging[id] = nil }
      }
      state.merging[id] = task
      return task
    }
  }

  /// - Returns: whether something was merged, so that there may be more.
  private func mergeOnce(_ id: InodeID) async throws -> Bool {
    let inode = try await namespace.inode(id, .pushed)
    guard let version = inode.version, let places = mergeRun(of: version) else { return false }
    let run = Array(version.layers[places])
    var map = VersionMap.transparent
    for (number, layer) in run.enumerated() {
      map.lay(try await layers.extents(of: layer), of: layer, source: number)
    }
    let patch = Patch(over: nil, map.extents, cut: map.cut, size: map.size)
    let merged = Version(id: version.id, base: nil, layers: run)
    return try await store(patch, of: merged, pace: nil) { layer in
      { try await $0.merge(run, of: id, into: layer) }
    }
  }

  // MARK: All that is not settled

  /// A page of the files that are not settled.
  func unsettled(after name: FileName?) async throws -> (inodes: [Inode], next: FileName?) {
    let page = try await namespace.read([.directory(.unsettled, after: name)])
    var (inodes, last): ([Inode], FileName?) = ([], nil)
    for finding in page.findings {
      switch finding {
      case .inode(_, let inode?) where inode.version?.isSettled == false: inodes.append(inode)
      case .entry(.unsettled, let name, _): last = last.map { max($0, name) } ?? name
      default: break
      }
    }
    return (inodes, page.isPartial ? last : nil)
  }

  /// Settles what nobody else seems to settle: a client that published layers may have ended.
  func settleOverdue() async throws {
    var after: FileName?
    repeat {
      let page = try await unsettled(after: after)
      for inode in page.inodes {
        try Task.checkNotCancelled()
        guard let version = inode.version, state.withLock({ $0.waiting[inode.id] == nil }),
          time(until: inode, version, factor: 2) == nil
        else { continue }
        _ = try? await settle(inode.id, at: pace)
      }
      after = page.next
    } while after != nil
  }

  // MARK: Its end

  /// Ends what is under way.
  func stop() async {
    let tasks = state.withLock { state in
      state.isStopped = true
      return state.waiting.inOrder + state.merging.inOrder
    }
    for task in tasks { task.cancel() }
    for task in tasks { await task.value }
  }

  /// Keeps layers from being merged while `work` settles them.
  func freezing<Value>(
    _ layers: [Layer], _ work: () async throws -> Value
  ) async throws -> Value {
    let ids = layers.map(\.inode)
    let merges = state.withLock { state in
      state.frozen.formUnion(ids)
      return state.merging.inOrder
    }
    defer { state.withLock { $0.frozen.subtract(ids) } }
    // They may have begun with these before.
    for merge in merges { await merge.value }
    return try await work()
  }
}

extension [InodeID: Task<Void, Never>] {
  /// The tasks by the numbers of their files: what is done with them is the same each time.
  fileprivate var inOrder: [Task<Void, Never>] { sorted { $0.key < $1.key }.map(\.value) }
}
