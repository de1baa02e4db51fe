import DFSTestSupport
import Foundation
import Testing

extension EndToEnd {
  /// Histories of the real system under faults: scripts/torture, for a minute.
  @Suite struct Torture {
    private struct Report: Decodable {
      let acknowledged: Int
      let faults: [String: Int]
      let histories: Int
      let filesReadAtEnd: Int
    }

    /// The program itself ends with 1 if a promise was broken, and prints the history.
    @Test(.needsFuse) func aMinuteOfFaults() async throws {
      let result = try await Shell().bash("dfs-torture --seconds 60 --json", seconds: 500)
      #expect(result.status == 0, "\(result.errors.prefix(20_000))\n\(result.output)")
      let line = result.line.split(separator: "\n").last ?? ""
      let report = try JSONDecoder().decode(Report.self, from: Data(line.utf8))
      #expect(report.acknowledged > 0)
      #expect(report.faults.values.reduce(0, +) > 0)
      #expect(report.histories > 0)
      #expect(report.filesReadAtEnd > 0)
    }

    /// Interrupted, it leaves no process, no mount and no file.
    @Test(.needsFuse) func anInterruptedRunCleansUp() async throws {
      let shell = Shell()
      let result = try await shell.succeed(
        """
        dir=$(mktemp -d)
        dfs-torture --seconds 60 --seed 1 --dir $dir 2> $dir.log & process=$!
        for i in $(seq 300); do
          [ $(grep -c " $dir/.*/mount" /proc/mounts) = 3 ] && break; sleep 0.1
        done
        [ $(grep -c " $dir/" /proc/mounts) = 3 ]
        kill -TERM $process
        status=0; wait $process || status=$?
        [ $status = 143 ]
        [ -z "$(ls $dir)" ]
        [ $(grep -c " $dir/" /proc/mounts) = 0 ]
        ! pgrep -f "$dir/"
        rmdir $dir
        rm $dir.log
        """, seconds: 120)
      #expect(result.status == 0)
    }
  }
}
