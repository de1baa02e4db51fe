internal import DFSCore
internal import Synchronization

/// What a pass of healing did, has left to do, and is blocked by.
public struct HealReport: Hashable, Sendable {
  /// Copies and bytes that were brought to servers that lacked them.
  public var copies = 0
  /// The bytes of those copies.
  public var bytes: UInt64 = 0
  /// Files whose copies are where the rule puts them again.
  public var placementsRecorded = 0
  /// Copies that servers still lack, as far as they told.
  public var copiesLeft: UInt64 = 0
  /// The bytes of those.
  public var bytesLeft: UInt64 = 0
  /// Why something could not be done; each reason once, at most `reasonsLimit`.
  public var blockedBy: [String] = []

  static let reasonsLimit = 20

  /// A pass that has done nothing yet and knows of nothing to do.
  public init() {}

  /// Whether everything is as it should be.
  public var isHealthy: Bool { copiesLeft == 0 && blockedBy.isEmpty }
}

/// Counts what a pass does, and tells whoever watches.
final class HealTally: Sendable {
  private struct State {
    var report = HealReport()
    var left: [ServerIndex: (copies: UInt64, bytes: UInt64)] = [:]
  }

  private let state = Mutex(State())
  private let progress: @Sendable (HealReport) -> Void

  init(_ progress: @escaping @Sendable (HealReport) -> Void) { self.progress = progress }

  var report: HealReport { state.withLock { $0.report } }

  func brought(_ bytes: UInt64, to server: ServerIndex) {
    update { state in
      state.report.copies += 1
      state.report.bytes += bytes
      guard let left = state.left[server] else { return }
      state.left[server] = (left.copies - min(1, left.copies), left.bytes - min(bytes, left.bytes))
    }
  }

  func left(_ copies: UInt64, _ bytes: UInt64, on server: ServerIndex) {
    update { $0.left[server] = (copies, bytes) }
  }

  /// The copies that a server lacks by now; the bytes are counted down.
  func left(_ copies: UInt64, on server: ServerIndex) {
    update { $0.left[server] = (copies, copies == 0 ? 0 : $0.left[server]?.bytes ?? 0) }
  }

  func recorded() { update { $0.report.placementsRecorded += 1 } }

  func blocked(_ reason: String) {
    update { state in
      guard state.report.blockedBy.count < HealReport.reasonsLimit,
        !state.report.blockedBy.contains(reason)
      else { return }
      state.report.blockedBy.append(reason)
    }
  }

  private func update(_ change: (inout State) -> Void) {
    let report = state.withLock { state in
      change(&state)
      state.report.copiesLeft = state.left.values.reduce(0) { $0 + $1.copies }
      state.report.bytesLeft = state.left.values.reduce(0) { $0 + $1.bytes }
      return state.report
    }
    progress(report)
  }
}
