import DFSTestSupport
import Foundation

/// Judges histories: those of groups that rest while the run goes on, and all of them at the end.
final class Judge {
  private let recorder: Recorder
  private var judged: Set<Int> = []

  init(_ recorder: Recorder) { self.recorder = recorder }

  /// Judges the groups that are retired, with nothing under way, and were not judged yet.
  func judgeResting() {
    for group in recorder.groups
    where group.isRetired && group.underWay == 0 && !judged.contains(group.number) {
      judged.insert(group.number)
      judge(group)
    }
  }

  /// - Parameter final: for each group what was found at the end.
  func judgeAll(_ final: [Int: [NameEvent]]) {
    for group in recorder.groups {
      if !judged.contains(group.number), !judge(group) { continue }
      var group = group
      group.events += final[group.number] ?? []
      judge(group, isFinal: true)
    }
  }

  @discardableResult
  private func judge(_ group: Group, isFinal: Bool = false) -> Bool {
    let search = Linearizability(group.events, names: group.names.count)
    switch search.verdict {
    case .linearizable: return true
    case .undecided:
      recorder.problem(.undecided, "the history of \(group.title) is too tangled to be judged")
    case .violated(let event):
      recorder.problem(
        isFinal ? .lost : .notLinearizable,
        "the history of \(group.title) cannot be told as one sequence; at the line with > at last:\n"
          + text(search, event, group))
    }
    return false
  }

  private func text(_ search: Linearizability, _ event: Int, _ group: Group) -> String {
    search.events.enumerated().map { index, line in
      (index == event ? "> " : "  ") + line.line(since: recorder.origin, names: group.names)
    }.joined(separator: "\n")
  }
}
