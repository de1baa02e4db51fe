import DFSCore
import Testing

@testable import DFSClient

/// What the servers' reports say about the files.
@Suite struct ClusterHealthTests {
  private static let md5 = MD5Digest.of([1, 2, 3])

  private static func content(_ number: UInt64, _ placement: Placement? = nil) -> RowContent {
    let home = Placement(md5: md5)
    return RowContent(
      version: VersionID(high: 1, low: number), placement: placement ?? home, home: home)
  }

  private static func report(_ files: [RowContent], number: UInt64 = 5) -> HealthReport {
    let view = View(round: 1, client: ClientID(1))
    var report = HealthReport(head: Head(view: view, number: number, digest: .empty))
    for file in files { report.placements[file.copies, default: 0] += 1 }
    return report
  }

  private static func health(
    _ up: [Int], _ files: [RowContent], missing: [Int: [(RowContent, Int)]] = [:]
  ) -> ClusterHealth {
    var health = ClusterHealth()
    for index in up { health.reports[ServerIndex(index)] = report(files) }
    for (server, copies) in missing {
      health.missing[ServerIndex(server)] = copies.map { content, part in
        MissingCopy(
          id: PartID(version: content.version, part: PartIndex(part)), inode: InodeID(9),
          content: content)
      }
    }
    return health
  }

  private let files = (1...3).map { Self.content($0) }

  @Test func withAllServersAllIsComplete() {
    #expect(
      Self.health([0, 1, 2, 3], files).files
        == ClusterHealth.Files(complete: 3, reduced: 0, incomplete: 0))
    #expect(ClusterHealth().files.count == 0)
  }

  @Test func oneDownReducesAndNeighboursLeaveItIncomplete() {
    #expect(Self.health([0, 2, 3], files).files.reduced == 3)
    #expect(Self.health([0, 2], files).files.reduced == 3)
    #expect(Self.health([0, 1], files).files.incomplete == 3)
    #expect(Self.health([0], files).files.incomplete == 3)
  }

  @Test func lostCopiesCountForTheirFileOnly() {
    let placement = files[0].placement
    let part = placement.parts(on: ServerIndex(0))[0].value
    let other = placement.holders(of: PartIndex(part)).servers.first { $0 != ServerIndex(0) }
    let one = Self.health([0, 1, 2, 3], files, missing: [0: [(files[0], part)]])
    #expect(one.files == ClusterHealth.Files(complete: 2, reduced: 1, incomplete: 0))
    let both = Self.health(
      [0, 1, 2, 3], files, missing: [0: [(files[0], part)], other?.value ?? 0: [(files[0], part)]])
    #expect(both.files == ClusterHealth.Files(complete: 2, reduced: 0, incomplete: 1))
  }

  @Test func substitutesAreCounted() {
    let moved = Self.content(4, Placement(md5: Self.md5).substituting(for: [ServerIndex(2)].set))
    let health = Self.health([0, 1, 3], files + [moved])
    #expect(health.substitutes == 1)
    #expect(health.files == ClusterHealth.Files(complete: 1, reduced: 3, incomplete: 0))
  }

  @Test func theNewestReportCounts() {
    var health = Self.health([0, 1, 2, 3], files)
    health.reports[ServerIndex(1)] = Self.report([], number: 4)
    #expect(health.files.count == 3)
  }

  @Test func aServerThatIsBehindIsNamed() {
    var health = Self.health([0, 1, 3], files)
    #expect(health.lagging.isEmpty)
    health.reports[ServerIndex(2)] = Self.report(files, number: 4)
    #expect(health.lagging == ServerSet([ServerIndex(2)]))
  }
}

extension [ServerIndex] {
  fileprivate var set: ServerSet { ServerSet(self) }
}
