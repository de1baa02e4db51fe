import DFSClient
import DFSCore
import Synchronization

/// Shows how far a healing is: copies and bytes left, the rate, what blocks it.
final class HealMeter: Sendable {
  private let console: Console
  private let isShown: Bool
  private let began = ContinuousClock.now
  private let hasEnded = Mutex(false)

  init(_ console: Console, isShown: Bool) {
    self.console = console
    self.isShown = isShown && console.isErrorTerminal
  }

  func show(_ report: HealReport) {
    guard isShown, began.duration(to: .now) > .seconds(1) else { return }
    let seconds = began.duration(to: .now) / Duration.seconds(1)
    let rate = Double(report.bytes) / seconds
    var line =
      "healing: \(report.copies) copies, \(Progress.size(report.bytes)) brought, "
      + "\(report.copiesLeft) copies left, \(Progress.size(UInt64(rate)))/s"
    if report.copies > 0, report.copiesLeft > 0 {
      let left = Double(report.copiesLeft) * seconds / Double(report.copies)
      line += ", \(Progress.time(left)) left"
    }
    if let reason = report.blockedBy.first { line += "; blocked: \(reason)" }
    let text = String(line.prefix(max(0, console.width - 1)))
    hasEnded.withLock { if !$0 { console.show(bar: text) } }
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
    filesSettled += later.filesSettled
    copiesLeft = later.copiesLeft
    blockedBy = later.blockedBy
  }
}
