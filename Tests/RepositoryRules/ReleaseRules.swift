import DFSCore
import Foundation
import Testing

/// The release has one number, which the change log explains.
@Suite struct ReleaseRules {
  @Test func theChangeLogBeginsWithThisRelease() throws {
    let log = try #require(Repository.file("CHANGELOG.md"))
    let versions = log.text.matches(of: /(?m)^## \[([0-9.]+)\] - [0-9]{4}-[0-9]{2}-[0-9]{2}$/)
      .map { String($0.1) }
    #expect(versions.first == Release.version, "CHANGELOG.md: the newest entry is another release")
    let newestFirst = versions.sorted { $0.compare($1, options: .numeric) == .orderedDescending }
    #expect(versions == newestFirst)
  }

  /// Nobody else writes the number down.
  @Test(arguments: Repository.sources + Repository.scripts)
  func theNumberIsInOnePlace(_ file: Repository.File) {
    guard !file.path.hasSuffix("/Release.swift") else { return }
    for (index, line) in file.lines.enumerated() {
      #expect(
        line.firstMatch(of: /dfs[ _][0-9]+\.[0-9]/) == nil,
        "\(file.path):\(index + 1): use Release.version")
    }
  }
}
