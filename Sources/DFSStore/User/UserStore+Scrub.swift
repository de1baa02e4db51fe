public import DFSCore
internal import DFSReplication
internal import Dispatch
internal import GRDB
internal import Logging
internal import Synchronization

/// Where the reading back of one user's copies is, and when it was done last.
///
/// Invariant: one round at a time.
final class ScrubState: Sendable {
  private let state = Mutex(ScrubReport())

  var report: ScrubReport { state.withLock { $0 } }

  /// - Returns: false if a round is under way.
  func begin(totalBytes: UInt64) -> Bool {
    state.withLock { state in
      guard !state.isRunning else { return false }
      state.isRunning = true
      state.checkedBytes = 0
      state.totalBytes = totalBytes
      state.damaged = 0
      return true
    }
  }

  func checked(_ bytes: UInt64) { state.withLock { $0.checkedBytes += bytes } }
  func foundDamage(_ count: Int = 1) { state.withLock { $0.damaged += UInt64(count) } }

  func end(atSeconds seconds: Int64?) {
    state.withLock { state in
      state.isRunning = false
      if let seconds { state.lastEndSeconds = seconds }
    }
  }

  /// What an earlier process left.
  func remember(lastEndSeconds: Int64) {
    state.withLock { $0.lastEndSeconds = max($0.lastEndSeconds, lastEndSeconds) }
  }
}

/// Scrub: every copy is read back against its checksums, every copy that the rows ask for is looked
/// for, every row is read against the head's digest. What is damaged or gone is missing from then on,
/// and a healer brings it from its other replica.
extension UserStore {
  /// What the scrub of this user has found.
  public var scrubReport: ScrubReport { scrubState.report }

  /// Begins a round at full speed, unless one is under way.
  public func beginScrub() {
    // It goes on when the connection that asked for it has ended.
    Task { await SessionLife.$current.withValue(nil) { await scrub(bytesPerSecond: nil) } }
  }

  /// Whether the last round ended longer ago than that.
  func needsScrub(everyDays days: Int) -> Bool {
    let report = scrubState.report
    return days > 0 && !report.isRunning
      && report.lastEndSeconds < WallClock.seconds - Int64(days) * 86_400
  }

  /// One round.
  func scrub(bytesPerSecond: UInt64?) async {
    let copies = copies
    do {
      try await queues.query.run { try copies.countOnce() }
    } catch {
      return logger.error("the copies cannot be counted", metadata: ["error": "\(error)"])
    }
    guard scrubState.begin(totalBytes: copies.usedBytes) else { return }
    var end: Int64?
    do {
      for prefix in UInt8.min ... .max {
        try await scrubFiles(prefix, bytesPerSecond)
        try await scrubSmallCopies(prefix)
        scrubState.foundDamage(try await audit(prefix))
      }
      try await checkRows()
      end = WallClock.seconds
      try await queues.query.run { try copies.noteScrub() }
    } catch {
      logger.error("the scrub was cut short", metadata: ["error": "\(error)"])
    }
    scrubState.end(atSeconds: end)
    let report = scrubState.report
    logger.notice(
      "scrubbed", metadata: ["bytes": "\(report.checkedBytes)", "damaged": "\(report.damaged)"])
  }

  private func scrubFiles(_ prefix: UInt8, _ bytesPerSecond: UInt64?) async throws {
    let copies = copies
    let files = try await queues.query.run { try copies.files(inFolder: [prefix].hexadecimal) }
    for file in files {
      var offset: UInt64 = 0
      var next: UInt64? = 0
      while let start = next {
        next = try await scrubPiece(of: file, at: start)
        let read = min(file.bytes, start + UInt64(Limits.chunkBytes)) - min(offset, file.bytes)
        offset += read
        scrubState.checked(read)
        if let bytesPerSecond, bytesPerSecond > 0 {
          try await Task.sleep(for: .seconds(Double(read) / Double(bytesPerSecond)))
        }
      }
    }
  }

  /// - Returns: where the next piece begins; nil at the end, or if the copy is no good.
  private func scrubPiece(of file: StoredCopy, at start: UInt64) async throws -> UInt64? {
    let copies = copies
    do {
      let end = start + UInt64(Limits.chunkBytes)
      // Not here any more: it was replaced while the folder was gone through.
      guard
        let (extent, bytes) = try await queues.bulk.run({
          try copies.read(file.id, range: start..<end)
        })
      else { return nil }
      let reached = extent.offset + UInt64(bytes.count)
      return reached < extent.length ? reached : nil
    } catch let error as DFSError where error.code == .damaged || error.code == .inputOutput {
      scrubState.foundDamage()
      await lost(file.id, because: DFSError(.damaged, error.message))
      return nil
    }
  }

  private func scrubSmallCopies(_ prefix: UInt8) async throws {
    let required = copies.required
    let bad = try await read { db in
      try CopyTables(db: db, required: required).damagedParts(versions: .beginning(with: prefix))
    }
    scrubState.foundDamage(bad.count)
    for id in bad {
      await lost(id, because: DFSError(.damaged, "the small copy does not match its checksum"))
    }
  }
}

extension ClosedRange<VersionID> {
  /// The versions whose first byte is this one.
  static func beginning(with byte: UInt8) -> Self {
    let high = UInt64(byte) << 56
    return VersionID(high: high, low: 0)...VersionID(high: high | .max >> 8, low: .max)
  }
}
