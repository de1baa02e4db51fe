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

    private struct ProgramReport: Decodable {
      struct Row: Decodable {
        let name: String
        let outcome: String
        let seconds: Double
        let faults: [String: Int]
        let text: String
      }
      let programs: [Row]
    }

    /// Programs at work on a mount while one server after the other is hurt, on small sources.
    @Test(.needsFuse) func programsUnderFaults() async throws {
      let result = try await Shell().bash("dfs-torture --programs --files 100 --json", seconds: 500)
      #expect(result.status == 0, "\(result.errors.prefix(20_000))\n\(result.output)")
      let line = result.line.split(separator: "\n").last ?? ""
      let report = try JSONDecoder().decode(ProgramReport.self, from: Data(line.utf8))
      #expect(report.programs.count == 6)
      for row in report.programs {
        print(
          "\(row.name): \(row.outcome), \(row.seconds) s, \(row.faults) \(row.text.prefix(200))")
        #expect(row.outcome != "failed")
        #expect(row.outcome == "skipped" || row.faults.values.reduce(0, +) > 0)
      }
    }

    /// Promise 6: two mounts and dfc at the same few names, undisturbed; the history of each name is
    /// one sequence, what was overwritten unseen is kept, and all agree at the end.
    @Test(.needsFuse) func twoMountsShare() async throws {
      let operations = Requirements.large ? 2000 : 1000
      let result = try await Shell().bash(
        "dfs-torture --no-faults --mounts 2 --operations \(operations) --json", seconds: 500)
      #expect(result.status == 0, "\(result.errors.prefix(20_000))\n\(result.output)")
      let line = result.line.split(separator: "\n").last ?? ""
      let report = try JSONDecoder().decode(Report.self, from: Data(line.utf8))
      #expect(report.acknowledged >= operations)
      #expect(report.faults.isEmpty)
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
