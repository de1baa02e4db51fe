/// Settling one file, and storing what takes the place of layers.

internal import DFSCore
internal import DFSSystem
internal import Logging

extension Settler {
  /// Makes a file one content, split and placed by its MD5, under its own identity; one with large holes one layer,
  /// without these.
  /// - Parameter pace: how fast; nil where somebody waits for it.
  /// - Throws: `serversMissing` unless all four servers are up; what reading and storing throws.
  func settle(
    _ id: InodeID, at pace: Pace?, _ progress: (@Sendable (UInt64) -> Void)? = nil
  ) async throws -> Settling {
    try await turn.take()
    defer { turn.give() }
    let inode = try await namespace.inode(id, .current)
    guard let version = inode.version, !version.isSettled else { return .settled }
    _ = try await namespace.require(.all)
    pins.pin(version)
    defer { pins.unpin(version) }
    return try await freezing(version.layers) {
      await pins.tell()
      // Merges that were under way may have put others in their place; newer ones do no harm.
      let now = try await namespace.inode(id, .current)
      guard now.version?.begins(with: version) == true else { return .changed }
      let map = try await layers.map(of: version)
      let isDone =
        Version.isSparse(size: version.size, stored: map.dataBytes)
        ? try await settleSparse(id, version, map, pace, progress)
        : try await settleWhole(id, version, pace, progress)
      guard isDone else { return .changed }
      let left = try await namespace.inode(id, .pushed)
      return left.version?.isSettled == false ? .changed : .settled
    }
  }

  private func settleWhole(
    _ id: InodeID, _ version: Version, _ pace: Pace?, _ progress: (@Sendable (UInt64) -> Void)?
  ) async throws -> Bool {
    let content = VersionContent(version, layers, pace)
    let md5 = try await publisher.transfer.md5(of: content) { progress?(0) }
    CrashPoint.reached(.settleHashed)
    let upload = ContentUpload(
      content: content, version: version.id, md5: md5, placement: Placement(md5: md5),
      durable: true, policy: .all)
    return try await publisher.name(upload, isShared: true, progress) { stored in
      { try await $0.settle(version, of: id, as: .whole(stored)) }
    }
  }

  private func settleSparse(
    _ id: InodeID, _ version: Version, _ map: VersionMap, _ pace: Pace?,
    _ progress: (@Sendable (UInt64) -> Void)?
  ) async throws -> Bool {
    let extents = map.extents.filter { !$0.isZeros }
    let patch = Patch(over: nil, extents, cut: 0, size: version.size)
    let holes = version.size - map.dataBytes
    let md5: MD5Digest? =
      holes > Version.hashedHoleBytes
      ? nil
      : try await publisher.transfer.md5(of: VersionContent(version, layers, pace)) { progress?(0) }
    CrashPoint.reached(.settleHashed)
    return try await store(patch, of: version, pace: pace, progress) { layer in
      { try await $0.settle(version, of: id, as: .sparse(layer, md5)) }
    }
  }

  /// Stores bytes of a version as one layer, and names it.
  func store(
    _ patch: Patch, of version: Version, pace: Pace?,
    _ progress: (@Sendable (UInt64) -> Void)? = nil,
    _ change: (NewLayer) -> @Sendable (inout Transaction) async throws -> Bool
  ) async throws -> Bool {
    let form = PublishForm.layer(patch)
    let bytes = VersionContent(version, patch.extents, layers, pace)
    let (content, index) = try form.stored(bytes)
    let md5 = try await publisher.transfer.md5(of: content) { progress?(0) }
    let answering = try await namespace.require(publisher.policy)
    let upload = ContentUpload(
      content: content, version: environment.version(), md5: md5,
      placement: Placement(md5: md5).substituting(for: ServerSet.all.subtracting(answering)),
      durable: true, policy: publisher.policy)
    return try await publisher.name(upload, progress) { stored in
      guard case .layer(let layer) = form.named(stored, index, as: version.id) else {
        preconditionFailure("a patch is named as a layer")
      }
      return change(layer)
    }
  }
}

extension Publisher {
  /// Stores a content that takes the place of others, and names it in one change, on stable storage.
  /// - Parameters:
  ///   - isShared: others may be storing the same content under the same identity. Then its copies stay if it is not
  ///     named here, and are collected if it is not named at all: one that lags behind would drop what others name.
  ///   - change: what names it; says whether it did.
  /// - Returns: whether it did.
  func name(
    _ upload: ContentUpload, isShared: Bool = false, _ progress: (@Sendable (UInt64) -> Void)?,
    _ change: (Content) -> @Sendable (inout Transaction) async throws -> Bool
  ) async throws -> Bool {
    do {
      let (stored, parts) = try await upload.run(transfer, progress)
      CrashPoint.reached(.settleStored)
      let body = change(stored)
      let ((isNamed, keeper), holders) = try await namespace.transact(parts, policy: .quorum) {
        let isNamed = try await body(&$0)
        return (isNamed, $0.keeper(of: stored))
      }
      guard isNamed, let keeper else {
        if !isShared { await upload.undo(transfer) }
        return false
      }
      CrashPoint.reached(.settleNoted)
      // Also if the caller was cancelled: nothing else has these bytes any more.
      _ = try await Task { try await ensureRedundancy(keeper, stored, upload, holders) }.value
      return true
    } catch let error as DFSError where error.code == .timedOut {
      // Perhaps it was named: its parts stay, and are collected if not.
      throw error
    } catch {
      if !isShared { await upload.undo(transfer) }
      throw error
    }
  }
}
