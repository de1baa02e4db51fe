internal import DFSCore
internal import DFSSystem
internal import Synchronization

/// Blocks of parts, each loaded once however many ask for it at a time, then kept for a while.
///
/// Invariants:
/// - A block is in the cache, or being loaded, or neither; never both.
/// - What is being loaded without anybody waiting (read ahead) stays within `aheadLimit` blocks.
final class BlockLoader: Sendable {
  typealias Blocks = [[UInt8]]

  /// Consecutive blocks of one part that are being loaded together.
  private struct Run {
    let blocks: Range<Int>
    let result: Promise<Blocks>
  }

  private typealias Claim = (part: PartID, run: Run)

  private struct State {
    var cache: BlockCache
    var loading: [BlockID: Run] = [:]
  }

  /// Blocks of one request to a server.
  static let runBlocks = Limits.chunkBytes / Limits.blockBytes

  private let aheadLimit: Int
  private let state: Mutex<State>

  init(cacheBytes: Int) {
    aheadLimit = min(16 << 20, cacheBytes / 2) / Limits.blockBytes
    state = Mutex(State(cache: BlockCache(bytesLimit: cacheBytes)))
  }

  /// The blocks of a part, in order.
  /// - Parameter load: fetches at most `runBlocks` consecutive ones.
  func blocks(
    _ part: PartID, _ wanted: Range<Int>,
    load: @escaping @Sendable (Range<Int>) async throws(DFSError) -> Blocks
  ) async throws(DFSError) -> Blocks {
    var found = Blocks(repeating: [], count: wanted.count)
    var waitFor: [Run] = []
    let begin = state.withLock { state in
      var missing: [Int] = []
      for index in wanted {
        let id = BlockID(part: part, index: index)
        if let block = state.cache.block(id) {
          found[index - wanted.lowerBound] = block
        } else if let run = state.loading[id] {
          if waitFor.last?.result !== run.result { waitFor.append(run) }
        } else {
          missing.append(index)
        }
      }
      return Self.claim(missing, of: part, in: &state)
    }
    for run in begin { start(run, of: part, load) }
    for run in waitFor + begin {
      let blocks = try await run.result.value()
      for index in run.blocks.clamped(to: wanted) {
        found[index - wanted.lowerBound] = blocks[index - run.blocks.lowerBound]
      }
    }
    return found
  }

  /// Whether the first of these blocks is here, or on its way.
  func isExpected(_ part: PartID, _ wanted: Range<Int>) -> Bool {
    let id = BlockID(part: part, index: wanted.lowerBound)
    return state.withLock { $0.cache.contains(id) || $0.loading[id] != nil }
  }

  /// Begins to load what is not here, unless enough is being loaded already.
  func loadAhead(
    _ part: PartID, _ wanted: Range<Int>,
    load: @escaping @Sendable (Range<Int>) async throws(DFSError) -> Blocks
  ) {
    for (_, run) in claimAhead([(part, wanted)]) { start(run, of: part, load) }
  }

  /// Marks what is not here as being loaded, unless enough is already.
  private func claimAhead(_ wanted: [(part: PartID, blocks: Range<Int>)]) -> [Claim] {
    state.withLock { state in
      let missing = wanted.map { part, blocks in
        blocks.filter { index in
          let id = BlockID(part: part, index: index)
          return !state.cache.contains(id) && state.loading[id] == nil
        }
      }
      let count = missing.reduce(0) { $0 + $1.count }
      guard state.loading.count + count <= aheadLimit else { return [] }
      return zip(wanted, missing).flatMap { wanted, missing in
        Self.claim(missing, of: wanted.part, in: &state).map { (wanted.part, $0) }
      }
    }
  }

  // MARK: Parts of one block

  /// Fetches the parts, each of which has one block.
  typealias WholesLoad =
    @Sendable ([PartID]) async -> [PartIndex: Result<[UInt8], DFSError>]

  /// Several parts of one version at once, each of one block, in order.
  func wholes(
    _ parts: [PartID], load: @escaping WholesLoad
  ) async throws(DFSError) -> Blocks {
    var found = Blocks(repeating: [], count: parts.count)
    var waitFor: [(place: Int, run: Run)] = []
    let begin = state.withLock { state in
      var begin: [Claim] = []
      for (place, part) in parts.enumerated() {
        let id = BlockID(part: part, index: 0)
        if let block = state.cache.block(id) {
          found[place] = block
        } else if let run = state.loading[id] {
          waitFor.append((place, run))
        } else {
          let runs = Self.claim([0], of: part, in: &state)
          begin += runs.map { (part, $0) }
          waitFor += runs.map { (place, $0) }
        }
      }
      return begin
    }
    start(begin, load)
    for (place, run) in waitFor { found[place] = try await run.result.value()[0] }
    return found
  }

  /// Begins to load those that are not here, unless enough is being loaded already.
  func loadWholesAhead(_ parts: [PartID], load: @escaping WholesLoad) {
    start(claimAhead(parts.map { ($0, 0..<1) }), load)
  }

  private func start(_ runs: [Claim], _ load: @escaping WholesLoad) {
    guard !runs.isEmpty else { return }
    Task.begun { [self] in
      let results = await load(runs.map(\.part))
      for (part, run) in runs {
        finish(run, of: part, (results[part.part] ?? .failure(.cancelled)).map { [$0] })
      }
    }
  }

  // MARK: Runs

  /// Marks blocks as being loaded, in runs of consecutive ones.
  private static func claim(_ missing: [Int], of part: PartID, in state: inout State) -> [Run] {
    runs(missing).map { blocks in
      let run = Run(blocks: blocks, result: Promise())
      for index in blocks { state.loading[BlockID(part: part, index: index)] = run }
      return run
    }
  }

  /// Consecutive numbers together, at most `runBlocks` in one.
  static func runs(_ numbers: [Int]) -> [Range<Int>] {
    var runs: [Range<Int>] = []
    for number in numbers {
      if let last = runs.last, last.upperBound == number, last.count < runBlocks {
        runs[runs.count - 1] = last.lowerBound..<number + 1
      } else {
        runs.append(number..<number + 1)
      }
    }
    return runs
  }

  /// Loads in a task of its own, so that one who stops waiting does not take it from others.
  private func start(
    _ run: Run, of part: PartID,
    _ load: @escaping @Sendable (Range<Int>) async throws(DFSError) -> Blocks
  ) {
    Task.begun { [self] in
      do throws(DFSError) {
        finish(run, of: part, .success(try await load(run.blocks)))
      } catch {
        finish(run, of: part, .failure(error))
      }
    }
  }

  private func finish(_ run: Run, of part: PartID, _ result: Result<Blocks, DFSError>) {
    state.withLock { state in
      for (place, index) in run.blocks.enumerated() {
        let id = BlockID(part: part, index: index)
        state.loading[id] = nil
        if case .success(let blocks) = result { state.cache.insert(id, blocks[place]) }
      }
    }
    run.result.fulfil(result)
  }
}
