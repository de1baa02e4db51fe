internal import DFSConfiguration
internal import DFSCore
internal import DFSWire
internal import NIOCore
internal import NIOPosix

/// Contents between this client and the servers: up (each part to its holders), down (ranges,
/// verified), and what of them is where. It decides nothing about names.
struct Transfer: Sendable {
  let cluster: any ServerConnections
  /// Takes small questions, and notes what their answers tell besides.
  let questions: any ServerQuestions
  let configuration: ClientConfiguration
  let blocks: BlockLoader
  let readAhead: ReadAheads
  let watch: CopyWatch
  /// Tells when a copy is overdue.
  let hedge: DelayQueue

  init(
    cluster: any ServerConnections, questions: any ServerQuestions,
    configuration: ClientConfiguration
  ) {
    self.cluster = cluster
    self.questions = questions
    self.configuration = configuration
    blocks = BlockLoader(cacheBytes: configuration.readCacheBytes)
    readAhead = ReadAheads(cacheBytes: configuration.readCacheBytes)
    watch = CopyWatch(loop: cluster.loop, logger: cluster.logger)
    hedge = DelayQueue(
      .milliseconds(configuration.hedgeMilliseconds), on: cluster.loop)
  }

  /// The longest that one exchange with a server may take.
  var callTimeout: Duration { .seconds(configuration.callTimeoutSeconds) }

  // MARK: What is where

  /// Which servers have which parts, as all that are reachable tell.
  func copies(_ versions: [VersionID]) async throws -> [VersionID: Placement] {
    let servers = cluster.reachable.servers
    guard !servers.isEmpty else {
      throw DFSError(.serversMissing, "none of the four servers is up, so no copy can be found")
    }
    var holders: [VersionID: [ServerSet]] = [:]
    for version in versions { holders[version] = Array(repeating: [], count: Limits.partCount) }
    await withTaskGroup(of: (ServerIndex, [VersionID: [PartIndex]]).self) { group in
      for server in servers {
        group.addTask { (server, await copies(versions, on: server)) }
      }
      for await (server, found) in group {
        for (version, parts) in found {
          for part in parts { holders[version]?[part.value].insert(server) }
        }
      }
    }
    return holders.mapValues { Placement(holders: $0) }
  }

  /// Those of the servers that have all the copies of a version that they should have.
  func holders(of version: Content, among servers: ServerSet) async -> ServerSet {
    await withTaskGroup(of: (ServerIndex, Bool).self) { group in
      for server in servers.intersection(cluster.reachable).servers {
        group.addTask {
          let found = await copies([version.id], on: server)[version.id] ?? []
          return (server, version.placement.parts(on: server).allSatisfy(found.contains))
        }
      }
      return await group.reduce(into: []) { if $1.1 { $0.insert($1.0) } }
    }
  }

  /// What one server has; nothing where it cannot tell.
  private func copies(
    _ versions: [VersionID], on server: ServerIndex
  ) async -> [VersionID: [PartIndex]] {
    var found: [VersionID: [PartIndex]] = [:]
    for start in stride(from: 0, to: versions.count, by: Wire.listItems) {
      let page = Array(versions[start..<min(start + Wire.listItems, versions.count)])
      guard let list = try? await cluster.ask(server, Request.Copies(page), timeout: callTimeout),
        list.parts.count == page.count
      else { continue }
      for (version, parts) in zip(page, list.parts) { found[version] = parts }
    }
    return found
  }

  /// Forgets copies that no change names, on the servers that are reachable; best effort, since
  /// the servers collect such copies on their own.
  func drop(_ parts: [PartID], on servers: ServerSet) async {
    await withTaskGroup(of: Void.self) { group in
      for server in servers.intersection(cluster.reachable).servers {
        group.addTask {
          _ = try? await cluster.ask(server, Request.DropParts(parts), timeout: .seconds(5))
        }
      }
    }
  }

  /// Has a server bring copies, and all changes that it took, to stable storage.
  func sync(_ parts: [PartID], on server: ServerIndex) async throws {
    for start in stride(from: 0, through: max(0, parts.count - 1), by: Wire.listItems) {
      let page = Array(parts[start..<min(start + Wire.listItems, parts.count)])
      _ = try await cluster.ask(server, Request.SyncParts(page), timeout: callTimeout)
    }
  }

  // MARK: Contents that are read here

  /// Bytes that one task hashes without a pause.
  static let hashBytes = 4 << 20

  /// The MD5 of a content, computed on a thread for blocking work unless it is known.
  /// - Parameter advanced: called now and then while it is computed.
  func md5(
    of source: any ContentSource, advanced: (@Sendable () -> Void)? = nil
  ) async throws -> MD5Digest {
    if let known = source.md5 { return known }
    var hasher = MD5Hasher()
    while hasher.count < source.size {
      if Task.isCancelled { throw DFSError.cancelled }
      let state = hasher
      let end = min(state.count + UInt64(Self.hashBytes), source.size)
      hasher = try await reading(source, state.count..<end) { source in
        var hasher = state
        let count = Int(end - hasher.count)
        try withUnsafeTemporaryAllocation(byteCount: count, alignment: 16) { buffer in
          try source.read(into: buffer, at: hasher.count)
          hasher.update(UnsafeRawBufferPointer(buffer))
        }
        return hasher
      }
      advanced?()
    }
    return hasher.finish()
  }

  /// The parts of a small content, and their digests. What is in memory is hashed here and now: that
  /// takes less time than to wake another thread.
  func inlineParts(
    _ source: any ContentSource, version: VersionID
  ) async throws -> ([InlinePart], [BlockChecksum]) {
    let split = Split(size: source.size)
    precondition(split.isInline, "a content of \(source.size) bytes travels as pieces")
    let source = try await source.ready(for: 0..<source.size)
    let cut: @Sendable () throws -> ([InlinePart], [BlockChecksum]) = {
      let parts = try PartIndex.all.map { part in
        let range = split.range(of: part)
        let bytes = try [UInt8](unsafeUninitializedCapacity: range.count) { buffer, count in
          try source.read(into: UnsafeMutableRawBufferPointer(buffer), at: range.lowerBound)
          count = range.count
        }
        return InlinePart(
          id: PartID(version: version, part: part), bytes: bytes, checksum: .of(bytes))
      }
      let digests = parts.map { part in
        part.bytes.withUnsafeBytes { BlockChecksum.digest(of: BlockChecksum.blocks(of: $0)) }
      }
      return (parts, digests)
    }
    return try source.isInMemory ? cut() : await blocking(cut)
  }

  /// Reads a range of a content, which is fetched before, on a thread for what blocks.
  /// - Parameter body: gets the content, of which it reads that range.
  /// - Throws: a `DFSError`; `inputOutput` for an error of the source.
  func reading<Value: Sendable>(
    _ source: any ContentSource, _ range: Range<UInt64>,
    _ body: @escaping @Sendable (any ContentSource) throws -> Value
  ) async throws(DFSError) -> Value {
    let ready: any ContentSource
    do {
      ready = try await source.ready(for: range)
    } catch {
      throw DFSError(error, else: .inputOutput)
    }
    return try await blocking { try body(ready) }
  }

  /// Runs what blocks on a thread for that.
  /// - Throws: a `DFSError`; `inputOutput` for an error of the source.
  func blocking<Value: Sendable>(
    _ body: @escaping @Sendable () throws -> Value
  ) async throws(DFSError) -> Value {
    do {
      return try await cluster.blocking(body)
    } catch {
      throw DFSError(error, else: .inputOutput)
    }
  }
}
