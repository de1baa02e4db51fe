import DFSCore
import DFSSystem
import DFSTestSupport
import Foundation
import Testing

extension EndToEnd {
  /// Every process dies at every step at which it matters (`CrashPoint`), and every promise holds
  /// afterwards.
  @Suite struct CrashPoints {
    private static let fill = """
      mkdir -p $LOCAL/tree/sub $LOCAL/new
      head -c 300000 /dev/urandom > $LOCAL/tree/large1
      head -c 500001 /dev/urandom > $LOCAL/tree/large2
      head -c 200000 /dev/urandom > $LOCAL/tree/sub/large3
      head -c 3000 /dev/urandom > $LOCAL/tree/small1
      head -c 90000 /dev/urandom > $LOCAL/tree/small2
      : > $LOCAL/tree/empty; echo probe > $LOCAL/tree/probe
      dfc $CONF put -r $LOCAL/tree
      sed 's/^#* *Writes.*//' $CONF > $LOCAL/quorum.conf; echo 'Writes: quorum' >> $LOCAL/quorum.conf
      chmod 600 $LOCAL/quorum.conf
      """

    /// With `DFS_TEST_CRASH_ONLY` only the trials whose title has these words, as `heal: copiesHome`.
    @Test(.needsFuse) func everyStepIsVisited() async throws {
      try await MountedCluster.run(
        mounts: 0, arguments: ["--keep-seconds", "0"], crashPoints: true
      ) { cluster in
        let court = CrashCourt(cluster: cluster)
        try await court.succeed(Self.fill)
        var table = CrashTable()
        var visited: Set<CrashPoint> = []
        let variables = ProcessInfo.processInfo.environment
        let only = variables["DFS_TEST_CRASH_ONLY"] ?? ""
        for group in CrashTrial.groups {
          let trials = group.filter {
            (Requirements.large || !$0.isExtra) && (only.isEmpty || $0.title.contains(only))
          }
          if trials.isEmpty { continue }
          for trial in trials {
            let result = try await court.run(trial)
            table.add(trial, result)
            visited.formUnion(result.visited)
          }
          try await court.heal()
        }
        try table.write()
        let left = Set(CrashPoint.allCases).subtracting(visited)
        #expect(!only.isEmpty || left.isEmpty, "never visited: \(left.map(\.rawValue).sorted())")
      }
    }
  }
}
