import Foundation
import Testing

extension EndToEnd {
  /// The same calls on a mount and on a local disk: everything that they return is the same, and
  /// every error, and which times move.
  @Suite struct Differential {
    /// DFS_TEST_SEED, else days since 1970: another history each day.
    private static var seed: Int {
      ProcessInfo.processInfo.environment["DFS_TEST_SEED"].flatMap { Int($0) }
        ?? Int(Date().timeIntervalSince1970 / 86_400)
    }

    @Test(.needsFuse, .needsExt4, arguments: [(calls: 4000, names: 12), (calls: 2500, names: 300)])
    func aMountDoesWhatADiskDoes(calls: Int, names: Int) async throws {
      try await MountedCluster.run { cluster in
        let result = try await cluster.shell.succeed(
          """
          cat > $LOCAL/differential.py <<'END'
          \(DifferentialScript.text)
          END
          python3 $LOCAL/differential.py $M $LOCAL \(Self.seed) \(calls) \(names)
          """, seconds: 300)
        print(result.output, terminator: "")
      }
    }
  }
}
