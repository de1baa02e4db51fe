internal import DFSCore
internal import DFSReplication
internal import DFSSystem
internal import DFSWire
internal import Logging
internal import NIOCore
internal import Synchronization

/// Upload: four parts at once, each read once from the source and sent to all its holders.
extension Transfer {
  /// Stores every part of a content on the servers that `placement` names. If one of them is lost on
  /// the way, the server opposite substitutes for it, so that each part still has two copies.
  ///
  /// Memory: at most `PartUpload.piecesUnderWay` + 1 pieces of 1 MiB a part, whatever the size, and one more
  /// of what the source has to fetch.
  /// - Parameters:
  ///   - durable: on stable storage of the holders, before returning.
  ///   - policy: with `quorum` a server whose disk refuses (it is full, or broken) counts as lost.
  ///   - progress: told the bytes that all their holders have; called in order, and not for long.
  /// - Returns: the digests of the parts, and where the copies are.
  /// - Throws: an error that names the server, if a part could not be stored somewhere. What was
  ///   stored is left there; see `drop`.
  func upload(
    _ source: any ContentSource, version: VersionID, placement: Placement, durable: Bool,
    policy: WritePolicy = .all, progress: (@Sendable (UInt64) -> Void)? = nil
  ) async throws -> (digests: [BlockChecksum], placement: Placement) {
    let losses = UploadLosses(
      absent: placement.absent, includesRefusals: policy == .quorum)
    let parts = partUploads(source, version, placement, durable: durable, losses)
    let digests = try await store(parts, StoredBytes(progress))
    guard let lost = losses.lost, let substitute = Substitute(for: ServerSet([lost]), in: placement)
    else { return (digests, placement) }
    try await store(source, version, substitute.copies, durable: durable)
    CrashPoint.reached(.substituteStored)
    cluster.logger.warning(
      "\(lost) was lost on the way, or refused; \(lost.opposite) substitutes for it")
    return (digests, substitute.placement)
  }

  /// Stores more copies of a content that is at hand.
  func store(
    _ source: any ContentSource, _ version: VersionID,
    _ copies: [(part: PartIndex, server: ServerIndex)], durable: Bool
  ) async throws {
    let holders = PartIndex.all.map { part in
      ServerSet(copies.filter { $0.part == part }.map(\.server))
    }
    let parts = partUploads(
      source, version, Placement(holders: holders), durable: durable, UploadLosses(absent: .all))
    _ = try await store(parts.filter { !$0.holders.isEmpty }, StoredBytes(nil))
  }

  private func partUploads(
    _ source: any ContentSource, _ version: VersionID, _ placement: Placement, durable: Bool,
    _ losses: UploadLosses
  ) -> [PartUpload] {
    let split = Split(size: source.size)
    return PartIndex.all.map { part in
      PartUpload(
        transfer: self, source: source, id: PartID(version: version, part: part),
        range: split.range(of: part), holders: placement.holders(of: part).servers,
        durable: durable, losses: losses)
    }
  }

  private func store(
    _ uploads: [PartUpload], _ stored: StoredBytes
  ) async throws -> [BlockChecksum] {
    var routes: [[PartUpload.Route]] = []
    for upload in uploads { routes.append(try await upload.openRoutes()) }
    // Until all are done: a server may forget what a connection that ended has sent it.
    for route in routes.joined() { route.connection.retain() }
    defer { for route in routes.joined() { route.connection.release() } }
    return try await withThrowingTaskGroup(of: (Int, BlockChecksum).self) { group in
      for (index, upload) in uploads.enumerated() {
        let routes = routes[index]
        group.addTask { (index, try await upload.run(on: routes) { stored.add($0) }) }
      }
      var digests = Array(repeating: BlockChecksum(0), count: uploads.count)
      for try await (index, digest) in group { digests[index] = digest }
      return digests
    }
  }
}

/// The servers that were lost while a content was stored, as its parts note them at once.
final class UploadLosses: Sendable {
  private let losses: Mutex<StoreLosses>

  private let includesRefusals: Bool

  /// - Parameters:
  ///   - absent: those that were away from the beginning; then none may be lost besides.
  ///   - includesRefusals: whether a server whose disk refuses is lost, too.
  init(absent: ServerSet, includesRefusals: Bool = false) {
    losses = Mutex(StoreLosses(absent: absent))
    self.includesRefusals = includesRefusals
  }

  /// Notes what a server answered, or that it did not.
  /// - Returns: whether the others can go on without it.
  func note(_ server: ServerIndex, _ error: DFSError) -> Bool {
    let isLoss = error.code == .disconnected || error.code == .timedOut
    guard isLoss || (includesRefusals && error.isOfTheDisk) else { return false }
    return losses.withLock { $0.note(server) }
  }

  /// The one that was lost, if one was.
  var lost: ServerIndex? { losses.withLock { $0.lost } }
}

extension DFSError {
  /// What a server says whose disk is full or broken; the others know nothing of it.
  var isOfTheDisk: Bool {
    [.noSpace, .quotaExceeded, .inputOutput, .readOnly, .accessDenied].contains(code)
  }

  /// Tells of the way to a server, nothing of the server.
  var isOfTheNet: Bool {
    [.disconnected, .timedOut, .cancelled, .protocolViolation].contains(code)
  }
}

/// Counts what was stored, and tells it in order.
private final class StoredBytes: Sendable {
  private let count = Mutex<UInt64>(0)
  private let progress: (@Sendable (UInt64) -> Void)?

  init(_ progress: (@Sendable (UInt64) -> Void)?) { self.progress = progress }

  func add(_ bytes: Int) {
    guard let progress else { return }
    count.withLock { count in
      count += UInt64(bytes)
      progress(count)
    }
  }
}
