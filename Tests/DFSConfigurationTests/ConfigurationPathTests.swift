import DFSConfiguration
import DFSCore
import Testing

@testable import DFSConfiguration

/// Which configuration is read if none is named.
@Suite struct ConfigurationPathTests {
  private func path(_ environment: [String: String], _ files: Set<String>) throws -> String {
    try ClientConfiguration.standardPath(environment: { environment[$0] }) { files.contains($0) }
  }

  private static let (own, system) = ("/h/a/.config/dfs/dfc.conf", "/etc/dfs/dfc.conf")

  @Test func theFirstOneIsTaken() throws {
    let home = ["HOME": "/h/a"]
    #expect(try path(home, [Self.own, Self.system]) == Self.own)
    #expect(try path(home, [Self.system]) == Self.system)
    #expect(try path([:], [Self.own, Self.system]) == Self.system)
  }

  @Test func theVariableIsMeantWhateverElseIsThere() throws {
    #expect(try path(["HOME": "/h/a", "DFS_CONF": "x.conf"], [Self.own]) == "x.conf")
  }

  @Test func withoutAnyTheErrorSaysWhereItCouldBe() {
    let error = #expect(throws: DFSError.self) { try path(["HOME": "/h/a"], []) }
    #expect(error?.code == .configuration)
    for place in ["DFS_CONF", Self.own, Self.system] {
      #expect(error?.message.contains(place) == true)
    }
  }
}
