internal import DFSConfiguration
internal import DFSCore
internal import DFSReplication
internal import DFSSystem
internal import Logging

/// Stores contents for the changes that name them, and sees that these are redundant before anybody is told.
struct Publisher: Sendable {
  let namespace: Namespace
  let transfer: Transfer
  let policy: WritePolicy

  private var cluster: any ServerConnections { transfer.cluster }

  private static let uploads = 3

  /// Stores the parts, again if more servers were lost on the way than can be substituted for, and may
  /// return.
  func upload(
    _ content: any ContentSource, _ md5: MD5Digest, _ answering: ServerSet, durable: Bool,
    progress: (@Sendable (UInt64) -> Void)?
  ) async throws -> (ContentUpload, Content, ChangeParts) {
    var left = Self.uploads
    var known = answering
    while true {
      left -= 1
      // Some may have been lost while the MD5 was computed.
      let answering = try await namespace.require(policy, known: known)
      let upload = ContentUpload(
        content: content, version: namespace.environment.version(), md5: md5,
        placement: Placement(md5: md5).substituting(for: ServerSet.all.subtracting(answering)),
        durable: durable, policy: policy)
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
  func ensureRedundancy(
    _ keeper: InodeID, _ content: Content, _ upload: ContentUpload, _ stored: ServerSet
  ) async throws -> Placement {
    let plan = try await complete(content, upload, stored)
    guard let substitute = plan.substitute else { return content.placement }
    do {
      try await transfer.store(
        upload.content, content.id, substitute.copies, durable: upload.durable)
      CrashPoint.reached(.substituteStored)
      let isPlaced = try await namespace.transact(
        ChangeParts(durable: upload.durable), policy: .quorum
      ) {
        try await $0.place(keeper, content, substitute.placement)
      }.value
      CrashPoint.reached(.substituteNoted)
      // The file was replaced, or a healer was faster.
      guard isPlaced else { return content.placement }
      cluster.logger.warning(
        "\(substitute.lost) was lost while a file was stored; another substitutes for it")
      return substitute.placement
    } catch {
      cluster.logger.warning(
        "\(substitute.lost) was lost while a file was stored: it is stored with reduced redundancy",
        metadata: ["cause": "\(error)"])
      return content.placement
    }
  }

  /// Stores the copies that servers lack: a change that was taken up from one server's log comes to the
  /// others without those that travelled with it, and to those that had refused it for what they lost.
  private func complete(
    _ content: Content, _ upload: ContentUpload, _ stored: ServerSet
  ) async throws -> RedundancyPlan {
    let deadline = namespace.deadline
    var stored = stored
    if !content.split.isInline {
      stored.formUnion(await transfer.holders(of: content, among: .all.subtracting(stored)))
    }
    var pause = Pause(.milliseconds(50), namespace.environment)
    // Those that seemed to be there, and did not take their copies.
    var lost: ServerSet = []
    while true {
      // A server that refuses changes (its disk is full) is as good as lost.
      var reachable = cluster.reachable.subtracting(lost)
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
          lost.insert(server)
          cluster.logger.warning(
            "\(server) has not got its copies of a file", metadata: ["cause": "\(error)"])
        }
      }
      if RedundancyPlan.isWhole(content.placement, stored: stored) {
        if lost.isDisjoint(with: reachable) { return plan }
        continue
      }
      lost = []
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
}

/// One content on its way to the servers.
struct ContentUpload: Sendable {
  let content: any ContentSource
  let version: VersionID
  let md5: MD5Digest
  let placement: Placement
  let durable: Bool
  let policy: WritePolicy

  private var split: Split { Split(size: content.size) }

  /// Stores the parts, or takes them along if they are small.
  /// - Returns: the content, and what must travel with the change that names it.
  func run(
    _ transfer: Transfer, _ progress: (@Sendable (UInt64) -> Void)?
  ) async throws -> (Content, ChangeParts) {
    var parts = ChangeParts(durable: durable)
    let id = version
    var placement = placement
    let digests: [BlockChecksum]
    if split.isInline {
      let (inline, found) = try await transfer.inlineParts(content, version: version)
      digests = found
      parts.inline = inline
    } else {
      (digests, placement) = try await transfer.upload(
        content, version: version, placement: placement, durable: durable, policy: policy,
        progress: progress)
      parts.stored = .all
      for server in ServerIndex.all {
        parts.held[server] = placement.parts(on: server).map { PartID(version: id, part: $0) }
      }
    }
    let stored = Content(
      id: id, size: content.size, md5: md5, placement: placement, partDigests: digests)
    return (stored, parts)
  }

  /// Nothing names the parts: the servers need not keep them.
  func undo(_ transfer: Transfer) async {
    guard !split.isInline else { return }
    let ids = PartIndex.all.map { PartID(version: version, part: $0) }
    // Also if the caller was cancelled.
    await Task { await transfer.drop(ids, on: .all) }.value
  }
}
