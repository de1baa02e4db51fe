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
  ) async throws -> Inode {
    let answering = try await namespace.require(configuration.writes)
    let (content, index) = form.stored(content)
    let size = if case .layer(let patch) = form { patch.size } else { content.size }
    guard size <= Limits.fileBytes else {
      throw DFSError(.fileTooLarge, "a file of \(size) bytes; the limit is \(Limits.fileBytes)")
    }
    // Who waits must not take a long content for a silent server.
    let md5 = try await transfer.md5(of: content) { progress?(0) }
    var (upload, stored, parts) = try await upload(
      content, md5, answering, durable: durable, progress: progress)
    let new = form.named(stored, index, as: namespace.environment.version())
    do {
      CrashPoint.reached(.copiesUploaded)
      let (inode, holders) = try await name(new, target, &parts, known: answering)
      progress?(content.size)
      // Also if the caller was cancelled: it is there now, and told to be.
      return try await Task { [upload] in
        try await ensureRedundancy(inode, stored, upload, holders)
      }.value
    } catch let error as DFSError where error.code == .timedOut {
      // Perhaps it was published: its parts stay.
      uncertain.add(new.id)
      throw error
    } catch {
      await upload.undo(transfer)
      throw error
    }
  }

  /// Makes what is stored the content of its target, in one change.
  /// - Returns: the file, and the servers that have the copies.
  private func name(
    _ new: NewVersion, _ target: PublishTarget, _ parts: inout ChangeParts, known: ServerSet
  ) async throws -> (Inode, ServerSet) {
    let own = uncertain.versions
    do {
      // Who was there at the beginning and is lost since does not undo what three servers take.
      let ((inode, written), stored) = try await namespace.transact(
        parts, policy: .quorum, known: known
      ) {
        // Asked when it is computed: what was removed here until then is gone.
        let target = target.isRemoved(in: self.removals) ? target.withoutKeeping : target
        let before = $0.writes
        return (try await $0.publish(new, to: target, own: own), $0.keys(writtenSince: before))
      }
      if case .inode(let id, _, _, _, _) = target {
        feed.add(written.filter { $0 != .inode(id) && !$0.isOfLayers })
      }
      return (inode, stored)
    } catch is OtherVersionBelow {
      guard case .layer(var layer) = new, !layer.isAnywhere, let below = layer.patch.below else {
        throw DFSError(.staleHandle, "the file was made again by another client")
      }
      // Perhaps no row asks for these copies any more: who does not have them is to refuse the change.
      layer.isAnywhere = true
      for content in below.contents { parts.require(content) }
      return try await name(.layer(layer), target, &parts, known: known)
    }
  }

  private static let uploads = 3

  /// Stores the parts, again if more servers were lost on the way than can be substituted for, and may
  /// return.
  private func upload(
    _ content: any ContentSource, _ md5: MD5Digest, _ answering: ServerSet, durable: Bool,
    progress: (@Sendable (UInt64) -> Void)?
  ) async throws -> (DFSClientUpload, Content, ChangeParts) {
    var left = Self.uploads
    var known = answering
    while true {
      left -= 1
      // Some may have been lost while the MD5 was computed.
      let answering = try await namespace.require(configuration.writes, known: known)
      let upload = DFSClientUpload(
        content: content, version: namespace.environment.version(), md5: md5,
        placement: Placement(md5: md5).substituting(for: ServerSet.all.subtracting(answering)),
        durable: durable, policy: configuration.writes)
      do {
        let (stored, parts) = try await upload.run(transfer, progress)
        return (upload, stored, parts)
      } catch {
        await upload.undo(transfer)
        let isLoss = (error as? DFSError)?.code == .serversMissing
        guard isLoss, left > 0, namespace.servers.someMayReturn else { throw error }
        known = []
      }
    }
  }

  /// Before anybody is told: every server that can be reached has its copies, and the server opposite
  /// substitutes for one that was lost; three servers have the change, and every part has two copies.
  /// - Throws: `timedOut` if some part may be on no server.
  private func ensureRedundancy(
    _ inode: Inode, _ content: Content, _ upload: DFSClientUpload, _ stored: ServerSet
  ) async throws -> Inode {
    let plan = try await complete(content, upload, stored)
    guard let substitute = plan.substitute else { return inode }
    do {
      try await transfer.store(
        upload.content, content.id, substitute.copies, durable: upload.durable)
      CrashPoint.reached(.substituteStored)
      let isPlaced = try await namespace.transact(
        ChangeParts(durable: upload.durable), policy: .quorum
      ) {
        try await $0.place(inode.keeper(of: content), content, substitute.placement)
      }.value
      CrashPoint.reached(.substituteNoted)
      // The file was replaced, or a healer was faster.
      guard isPlaced else { return inode }
      cluster.logger.warning(
        "\(substitute.lost) was lost while a file was stored; another substitutes for it")
      var placed = inode
      placed.version?.place(content, substitute.placement)
      return placed
    } catch {
      cluster.logger.warning(
        "\(substitute.lost) was lost while a file was stored: it is stored with reduced redundancy",
        metadata: ["cause": "\(error)"])
      return inode
    }
  }

  /// Stores the copies that servers lack: a change that was taken up from one server's log comes to the
  /// others without those that travelled with it, and to those that had refused it for what they lost.
  private func complete(
    _ content: Content, _ upload: DFSClientUpload, _ stored: ServerSet
  ) async throws -> RedundancyPlan {
    let deadline = namespace.deadline
    var stored = stored
    if !content.split.isInline {
      stored.formUnion(await transfer.holders(of: content, among: .all.subtracting(stored)))
    }
    var pause = Pause(.milliseconds(50), namespace.environment)
    while true {
      // A server that refuses changes (its disk is full) is as good as lost.
      var reachable = cluster.reachable
      if namespace.driver.stance.hasRefusals, let (refusing, _) = await namespace.driver.refusing {
        reachable.remove(refusing)
      }
      let plan = RedundancyPlan(content.placement, stored: stored, reachable: reachable)
      for server in ServerSet(plan.copies.map(\.server)).servers {
        let copies = plan.copies.filter { $0.server == server }
        do {
          try await transfer.store(upload.content, content.id, copies, durable: upload.durable)
          stored.insert(server)
        } catch {
          cluster.logger.warning(
            "\(server) has not got its copies of a file", metadata: ["cause": "\(error)"])
        }
      }
      if RedundancyPlan.isWhole(content.placement, stored: stored) { return plan }
      do {
        try await pause.wait(until: deadline)
      } catch {
        throw DFSError(
          .timedOut,
          "the file's name is on three servers, but parts of it could not be stored within "
            + "\(namespace.settings.callTimeout): write it again")
      }
    }
  }

  public func read(_ version: Version, _ range: Range<UInt64>) async throws -> [UInt8] {
    try await layers.read(version, range)
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
