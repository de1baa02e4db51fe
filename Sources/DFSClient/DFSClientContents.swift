public import DFSCore
internal import Logging

/// The contents of the file service: publishing a version is upload, then one change that names it.
extension DFSClient {
  public func publish(
    _ content: any ContentSource, to target: PublishTarget, durable: Bool,
    progress: (@Sendable (UInt64) -> Void)?
  ) async throws -> Inode {
    let answering = try await namespace.requireWritable(configuration.writes)
    guard content.size <= Limits.fileBytes else {
      throw DFSError(
        .fileTooLarge, "a file of \(content.size) bytes; the bound is \(Limits.fileBytes)")
    }
    let md5 = try await transfer.md5(of: content)
    let upload = DFSClientUpload(
      content: content, version: .random(), md5: md5,
      placement: Placement(md5: md5).standingIn(for: ServerSet.all.subtracting(answering)),
      durable: durable)
    do {
      let (version, parts) = try await upload.run(transfer, progress)
      // Who was there at the beginning and is lost since does not undo what three servers take.
      let inode = try await namespace.transact(parts, policy: .quorum) {
        try await $0.publish(version, to: target)
      }
      progress?(content.size)
      return await mended(inode, version, upload)
    } catch let error as DFSError where error.code == .timedOut {
      // Perhaps it was published: its parts stay.
      throw error
    } catch {
      await upload.undo(transfer)
      throw error
    }
  }

  /// If a holder was lost while the version was published, lets the server opposite stand in for it
  /// before anybody is told: three servers have the change, and every part has two copies.
  private func mended(_ inode: Inode, _ version: Version, _ upload: DFSClientUpload) async -> Inode
  {
    let holders = ServerSet(ServerIndex.all.filter { !version.placement.parts(on: $0).isEmpty })
    var lost = holders.subtracting(cluster.reachable)
    if let (refusing, _) = await namespace.driver.refusing { lost.insert(refusing) }
    guard lost.count == 1 else { return inode }
    let placement = version.placement.standingIn(for: lost)
    do {
      try await transfer.store(
        upload.content, version.id, placement.copies(missingIn: version.placement),
        durable: upload.durable)
      _ = try await namespace.transact(ChangeParts(durable: upload.durable), policy: .quorum) {
        try await $0.place(inode.id, version.id, placement)
      }
      cluster.logger.warning("\(lost) took no part in storing a file; another stands in for it")
      var mended = inode
      mended.version?.placement = placement
      return mended
    } catch {
      cluster.logger.warning(
        "\(lost) took no part in storing a file: it is stored with reduced redundancy",
        metadata: ["cause": "\(error)"])
      return inode
    }
  }

  public func read(_ version: Version, _ range: Range<UInt64>) async throws -> [UInt8] {
    try await transfer.read(version, range)
  }

  public func readCopy(
    _ version: Version, _ part: PartIndex, on server: ServerIndex, _ range: Range<UInt64>
  ) async throws -> CopyExtent {
    try await transfer.readCopy(version, part, on: server, range)
  }

  public func hold(_ version: VersionID) async { await holds.hold(version) }
  public func release(_ version: VersionID) async { await holds.release(version) }

  public func copies(_ versions: [VersionID]) async throws -> [VersionID: Placement] {
    try await transfer.copies(versions)
  }
}

/// One content on its way to the servers.
struct DFSClientUpload: Sendable {
  let content: any ContentSource
  let version: VersionID
  let md5: MD5Digest
  let placement: Placement
  let durable: Bool

  private var split: Split { Split(size: content.size) }

  /// Stores the parts, or takes them along if they are small.
  /// - Returns: the version, and what must travel with the change that names it.
  func run(
    _ transfer: Transfer, _ progress: (@Sendable (UInt64) -> Void)?
  ) async throws -> (Version, ChangeParts) {
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
        content, version: version, placement: placement, durable: durable, progress: progress)
      for server in ServerIndex.all {
        parts.held[server] = placement.parts(on: server).map { PartID(version: id, part: $0) }
      }
    }
    let version = Version(
      id: version, size: content.size, md5: md5, placement: placement, partDigests: digests)
    return (version, parts)
  }

  /// Nothing names the parts: the servers need not keep them.
  func undo(_ transfer: Transfer) async {
    guard !split.isInline else { return }
    let ids = PartIndex.all.map { PartID(version: version, part: $0) }
    // Also if the caller was cancelled.
    await Task { await transfer.drop(ids, on: .all) }.value
  }
}
