import DFSClient
import DFSCommandLine
import DFSCore
import DFSSystem
import Synchronization

/// Shows how far a healing is: copies and bytes left, the rate, what blocks it.
final class HealMeter: Sendable {
  private let console: Console
  private let isShown: Bool
  private let isWanted: Bool
  private let began = ContinuousClock.now
  private let hasEnded = Mutex(false)

  init(_ console: Console, isShown: Bool) {
    self.console = console
    self.isShown = isShown && console.isErrorTerminal
    isWanted = isShown
  }

  func show(_ report: HealReport) {
    guard isShown, began.duration(to: .now) > .seconds(1) else { return }
    let seconds = began.duration(to: .now) / Duration.seconds(1)
    let rate = Double(report.bytes) / seconds
    var line =
      "healing: \(report.copies) copies, \(Progress.size(report.bytes)) brought, "
      + "\(report.copiesLeft) copies, \(Progress.size(report.bytesLeft)) left, "
      + "\(Progress.size(UInt64(rate)))/s"
    if report.bytesLeft > 0, rate > 0 {
      line += ", \(Progress.time(Double(report.bytesLeft) / rate)) left"
    }
    if let reason = report.blockedBy.first { line += "; blocked: \(reason)" }
    let text = String(line.prefix(max(0, console.width - 1)))
    hasEnded.withLock { if !$0 { console.show(bar: text) } }
  }

  /// A healing that waits says what for, once, on a terminal and in a log alike.
  func waits(for reasons: [String], wasWaitingFor before: [String]) {
    guard isWanted else { return }
    for reason in reasons where !before.contains(reason) {
      console.problem("dfc: waiting: \(reason)")
    }
  }

  func end() {
    hasEnded.withLock { $0 = true }
    console.clearBar()
  }
}

extension HealReport {
  /// This report and a later pass of the same healing.
  mutating func add(_ later: HealReport) {
    copies += later.copies
    bytes += later.bytes
    placementsRecorded += later.placementsRecorded
    copiesLeft = later.copiesLeft
    bytesLeft = later.bytesLeft
    blockedBy = later.blockedBy
  }
}
