import Foundation

/// The table of crash points, written (DFS_TEST_CRASH_TABLE) by the test that made them happen.
struct CrashTable {
  private static let titles = ["operation", "who dies, and where", "it ended", "files"]

  private var rows: [[String]] = []

  mutating func add(_ trial: CrashTrial, _ result: CrashTrial.Result) {
    rows.append(["\(trial.operation): \(trial.what)", trial.points, result.ended, result.seen])
  }

  private var text: String {
    ([Self.titles, Self.titles.map { _ in "---" }] + rows)
      .map { "| " + $0.joined(separator: " | ") + " |\n" }.joined()
  }

  /// Into the file that DFS_TEST_CRASH_TABLE names.
  func write() throws {
    guard let path = ProcessInfo.processInfo.environment["DFS_TEST_CRASH_TABLE"] else { return }
    try text.write(toFile: path, atomically: true, encoding: .utf8)
  }
}
