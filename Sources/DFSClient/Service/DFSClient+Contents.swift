internal import DFSConfiguration
public import DFSCore
internal import DFSReplication
internal import DFSSystem
internal import Logging
internal import Synchronization

/// The contents of the file service: publishing a version is upload, then one change that names it.
extension DFSClient {
  public func publish(
    _ content: any ContentSource, as form: PublishForm, to target: PublishTarget, durable: Bool,
    progress: (@Sendable (UInt64) -> Void)?
  ) async throws -> Published {
    if let done = try await attempt(content, form, target, durable: durable, progress) {
      return done
    }
    // What was appended goes behind what others wrote; if that is gone by then, it is published as it was.
    if let (end, form) = form.elsewhere(content),
      let done = try await attempt(end, form, target, durable: durable, progress)
    {
      return done
    }
    guard case .layer(let patch) = form else {
      return try await publishWhole(content, target, durable: durable, progress)
    }
    // No row asks for all that is below any more: it is stored again.
    let whole = PatchedVersion(patch: patch, written: content, reader: layers, cluster: cluster)
    guard let below = patch.below else {
      return try await publishAnew(
        whole, VersionMap(base: 0).laid(patch), target, durable: durable, progress)
    }
    return try await pinning(below) {
      let map = try await layers.map(of: below).laid(patch)
      return try await publishAnew(whole, map, target, durable: durable, progress)
    }
  }

  /// Stores a file as a whole, but for large holes.
  /// - Parameter map: what it is made of.
  private func publishAnew(
    _ whole: any ContentSource, _ map: VersionMap, _ target: PublishTarget, durable: Bool,
    _ progress: (@Sendable (UInt64) -> Void)?
  ) async throws -> Published {
    guard Version.isSparse(size: whole.size, stored: map.dataBytes) else {
      return try await publishWhole(whole, target, durable: durable, progress)
    }
    let extents = map.extents.filter { !$0.isZeros }
    let form = PublishForm.layer(Patch(over: nil, extents, cut: 0, size: whole.size))
    let packed = PackedContent(of: whole, extents)
    guard let done = try await attempt(packed, form, target, durable: durable, progress) else {
      preconditionFailure("a layer that shows nothing below lies over anything")
    }
    return done
  }

  private func publishWhole(
    _ content: any ContentSource, _ target: PublishTarget, durable: Bool,
    _ progress: (@Sendable (UInt64) -> Void)?
  ) async throws -> Published {
    guard let done = try await attempt(content, .whole(), target, durable: durable, progress) else {
      preconditionFailure("a whole content lies over nothing")
    }
    return done
  }

  /// - Returns: nil if the file has another version than the content was made from, and must not.
  private func attempt(
    _ content: any ContentSource, _ form: PublishForm, _ target: PublishTarget, durable: Bool,
    _ progress: (@Sendable (UInt64) -> Void)?
  ) async throws -> Published? {
    let answering = try await namespace.require(configuration.writes)
    let (content, index) = try form.stored(content)
    let size = if case .layer(let patch) = form { patch.size } else { content.size }
    guard size <= Limits.fileBytes else {
      throw DFSError(.fileTooLarge, "a file of \(size) bytes; the limit is \(Limits.fileBytes)")
    }
    if case .layer = form, case .inode(let id, _, _, _, _) = target {
      await settler.makeRoom(id, progress)
    }
    // Who waits must not take a long content for a silent server.
    let md5 = try await transfer.md5(of: content) { progress?(0) }
    let (upload, stored, parts) = try await publisher.upload(
      content, md5, answering, durable: durable, progress: progress)
    let new = form.named(stored, index, as: namespace.environment.version())
    let isMoved = Mutex(false)
    do {
      CrashPoint.reached(.copiesUploaded)
      let named = try await name(target, parts, known: answering) { change, target, own in
        let inode = try await change.publish(new, to: target, own: own)
        if change.isMoved { isMoved.withLock { $0 = true } }
        return inode
      }
      guard let (inode, holders) = named else {
        await upload.undo(transfer)
        return nil
      }
      progress?(content.size)
      // Also if the caller was cancelled: it is there now, and told to be.
      var placed = inode
      let placement = try await Task { [publisher, upload] in
        try await publisher.ensureRedundancy(inode.keeper(of: stored), stored, upload, holders)
      }.value
      placed.version?.place(stored, placement)
      if case .layer = form { settler.published(placed) }
      return Published(placed, isMoved: isMoved.withLock(\.self))
    } catch let error as DFSError where error.code == .timedOut {
      // Perhaps it was published: its parts stay.
      if !isMoved.withLock(\.self) { uncertain.add(new.id) }
      uncertain.add(stored.id)
      throw error
    } catch {
      await upload.undo(transfer)
      throw error
    }
  }

  public func share(
    _ version: Version, of source: InodeID, to target: PublishTarget, durable: Bool
  ) async throws -> Inode {
    let answering = try await namespace.require(configuration.writes)
    let id = version.layers.isEmpty ? version.id : namespace.environment.version()
    do {
      let parts = ChangeParts(durable: durable)
      let named = try await name(target, parts, known: answering) { change, target, own in
        let shared = try await change.shared(version, of: source, as: id)
        return try await change.publish(shared, to: target, own: own)
      }
      if let (inode, _) = named {
        settler.published(inode)
        return inode
      }
    } catch let error as DFSError where error.code == .timedOut {
      uncertain.add(id)
      throw error
    }
    // No row asks for all of it any more: it is stored again.
    return try await pinning(version) {
      let map = try await layers.map(of: version)
      return try await publishAnew(
        VersionContent(version, layers), map, target, durable: durable, nil
      ).inode
    }
  }

  /// Makes something the content of its target, in one change.
  /// - Parameter publish: does that; told the target, and what this client perhaps published.
  /// - Returns: the file, and the servers that have the copies; nil if the file has other contents than those that
  ///   it was made from, and it has to be made anew.
  private func name(
    _ target: PublishTarget, _ parts: ChangeParts, known: ServerSet,
    _ publish:
      @escaping @Sendable (inout Transaction, PublishTarget, Set<VersionID>) async throws -> Inode
  ) async throws -> (Inode, ServerSet)? {
    let own = uncertain.versions
    // Who was there at the beginning and is lost since does not undo what three servers take.
    typealias Named = (inode: Inode, written: [RowKey])
    let (named, stored) = try await namespace.transact(
      parts, policy: .quorum, known: known
    ) { (change: inout Transaction) async throws -> Named? in
      // Asked when it is computed: what was removed here until then is gone.
      let target = target.isRemoved(in: self.removals) ? target.withoutKeeping : target
      let before = change.writes
      if case .inode(let id, _, _, _, _) = target {
        try await self.fileLocks.check(id, in: &change)
      }
      do {
        let inode = try await publish(&change, target, own)
        return (inode: inode, written: change.keys(writtenSince: before))
      } catch is OtherVersionBelow {
        return nil
      }
    }
    guard let named else { return nil }
    if case .inode(let id, _, _, _, _) = target {
      feed.add(named.written.filter { $0 != .inode(id) && !$0.isOfLayers })
    }
    return (named.inode, stored)
  }

  public func read(_ version: Version, _ range: Range<UInt64>) async throws -> [UInt8] {
    try await layers.read(version, range)
  }

  public func map(of version: Version) async throws -> VersionMap {
    try await layers.map(of: version)
  }

  public func sync(_ version: Version) async throws {
    typealias Answer = (ServerIndex, Result<Void, any Error>)
    let answers = await withTaskGroup(of: Answer.self) { group in
      for server in cluster.reachable.servers {
        let parts = version.contents.flatMap { content in
          content.placement.parts(on: server).map { PartID(version: content.id, part: $0) }
        }
        group.addTask { [transfer] in
          do {
            try await transfer.sync(parts, on: server)
            return (server, .success(()))
          } catch {
            return (server, .failure(error))
          }
        }
      }
      return await group.reduce(into: [Answer]()) { $0.append($1) }
    }
    for (_, answer) in answers {
      if case .failure(let error) = answer, (error as? DFSError)?.code == .inputOutput {
        throw error
      }
    }
    let synced = answers.filter { if case .success = $0.1 { true } else { false } }.map(\.0)
    guard synced.count >= Limits.quorum else {
      throw namespace.servers.missing(
        answering: ServerSet(synced), "at least \(Limits.quorum) must bring it to stable storage")
    }
  }

  public func expectReading(_ id: InodeID) -> Freshness {
    guard let content = namespace.cache.inode(id).value?.version?.content else { return .current }
    let heads = AskedHeads()
    transfer.expectReading(content, heads)
    return .currentAsKnown(by: heads)
  }

  public func readCopy(
    _ content: Content, _ part: PartIndex, on server: ServerIndex, _ range: Range<UInt64>
  ) async throws -> CopyExtent {
    try await transfer.readCopy(content, part, on: server, range)
  }

  public func pin(_ version: Version) { pins.pin(version) }
  public func unpin(_ version: Version) { pins.unpin(version) }
  public func untilPinned() async { await pins.tell() }

  public func copies(_ versions: [VersionID]) async throws -> [VersionID: Placement] {
    try await transfer.copies(versions)
  }
}

extension PublishTarget {
  fileprivate func isRemoved(in removals: OwnRemovals) -> Bool {
    if case .inode(let id, _, _, _, _) = self { removals.contains(id) } else { false }
  }

  /// The same, but of a file that is gone nothing is kept.
  fileprivate var withoutKeeping: PublishTarget {
    guard case .inode(let id, let modified, let changed, let attributes, let opened?) = self else {
      return self
    }
    let without = OpenedVersion(
      version: opened.version, parent: opened.parent, name: opened.name, host: opened.host)
    return .inode(
      id, modified: modified, changed: changed, attributes: attributes, opened: without)
  }
}

/// Versions of which this client does not know whether it published them: found in a file, they are
/// nobody else's. The last ones.
final class UncertainVersions: Sendable {
  private static let limit = 256
  private let state = Mutex<[VersionID]>([])

  var versions: Set<VersionID> { state.withLock { Set($0) } }

  func add(_ version: VersionID) {
    state.withLock { versions in
      versions.append(version)
      if versions.count > Self.limit { versions.removeFirst() }
    }
  }
}
