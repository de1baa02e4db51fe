import DFSCore
import Foundation
import Testing

/// What each fault did, as a table (DFS_TEST_MATRIX), written by the test that made it happen.
struct FaultMatrix {
  struct Row {
    var fault = ""
    var server = ""
    var start = ""
    var list = ""
    var get = ""
    var put = ""
    var scrub = ""
    var heal = ""
    var repaired = ""
    var after = ""

    fileprivate var cells: [String] {
      [fault, server, start, list, get, put, scrub, heal, repaired, after]
    }
  }

  var rows: [Row] = []

  private static let titles = [
    "fault", "server", "start", "`list`", "`get` of all", "`put`", "`scrub`", "`heal`",
    "brought back by", "afterwards",
  ]

  var text: String {
    let lines = [Self.titles, Self.titles.map { _ in "---" }] + rows.map(\.cells)
    return lines.map { "| " + $0.joined(separator: " | ") + " |\n" }.joined()
  }

  /// Into the file that DFS_TEST_MATRIX names.
  func write() throws {
    guard let path = ProcessInfo.processInfo.environment["DFS_TEST_MATRIX"] else { return }
    let earlier = (try? String(contentsOfFile: path, encoding: .utf8)) ?? ""
    try (earlier + text).write(toFile: path, atomically: true, encoding: .utf8)
  }
}
