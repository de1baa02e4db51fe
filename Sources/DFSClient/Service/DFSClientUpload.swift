internal import DFSConfiguration
internal import DFSCore

/// One content on its way to the servers.
struct DFSClientUpload: Sendable {
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
