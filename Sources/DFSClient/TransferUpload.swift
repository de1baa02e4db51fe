internal import DFSCore
internal import DFSWire
internal import NIOCore
internal import Synchronization

/// Upload: four parts at once, each read once from the source and sent to all its holders.
extension Transfer {
  /// Stores every part of a content on the servers that `placement` names.
  ///
  /// Memory: at most `PartUpload.piecesUnderWay` + 1 pieces of 1 MiB a part, whatever the size.
  /// - Parameters:
  ///   - durable: on stable storage of the holders, before returning.
  ///   - progress: told the bytes that all their holders have; called in order, and not for long.
  /// - Returns: the digests of the parts.
  /// - Throws: an error that names the server, if a part could not be stored somewhere. What was
  ///   stored is left there; see `drop`.
  func upload(
    _ source: any ContentSource, version: VersionID, placement: Placement, durable: Bool,
    progress: (@Sendable (UInt64) -> Void)? = nil
  ) async throws -> [BlockChecksum] {
    try checkReachable(placement)
    let split = Split(size: source.size)
    let uploads = PartIndex.all.map { part in
      PartUpload(
        transfer: self, source: source, id: PartID(version: version, part: part),
        range: split.range(of: part), holders: placement.holders(of: part).servers,
        durable: durable)
    }
    var lanes: [[PartUpload.Lane]] = []
    for upload in uploads { lanes.append(try await upload.openLanes()) }
    // Until all are done: a server may forget what a connection that ended has sent it.
    for lane in lanes.joined() { lane.connection.retain() }
    defer { for lane in lanes.joined() { lane.connection.release() } }
    return try await run(uploads, on: lanes, StoredBytes(progress))
  }

  private func run(
    _ uploads: [PartUpload], on lanes: [[PartUpload.Lane]], _ stored: StoredBytes
  ) async throws -> [BlockChecksum] {
    try await withThrowingTaskGroup(of: (Int, BlockChecksum).self) { group in
      for (index, upload) in uploads.enumerated() {
        let lanes = lanes[index]
        group.addTask { (index, try await upload.run(on: lanes) { stored.add($0) }) }
      }
      var digests = Array(repeating: BlockChecksum(0), count: uploads.count)
      for try await (index, digest) in group { digests[index] = digest }
      return digests
    }
  }

  private func checkReachable(_ placement: Placement) throws(DFSError) {
    let reachable = cluster.reachable
    let missing = cluster.states().filter { state in
      !placement.parts(on: state.server).isEmpty && !reachable.contains(state.server)
    }
    guard missing.isEmpty else {
      let reasons = missing.map { $0.problem?.description ?? $0.address.name }
      throw DFSError(
        .serversMissing,
        "parts are to be stored on \(ServerSet(missing.map(\.server))), not up: "
          + reasons.joined(separator: "; "))
    }
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
