import DFSCore
import DFSTestSupport
import Foundation
import Testing

extension EndToEnd {
  /// Processes on two mounts lock, read, write and unlock by chance; what each was told is judged as one history
  /// (LockJudge). DFS_TEST_SEED repeats a choice of calls, though not their order among processes.
  @Suite struct LockHistories {
    private static let seed =
      ProcessInfo.processInfo.environment["DFS_TEST_SEED"].flatMap { UInt64($0) }
      ?? .random(in: 0...999_999)

    /// Locks of each kind and range, that wait or not; some processes are killed while they have one.
    @Test(.needsFuse) func lockedRecordsAreTheLatest() async throws {
      let operations = LockTrial.asked ?? 2000
      try await MountedCluster.run(mounts: 2) { cluster in
        let trial = try await LockTrial(cluster)
        try await trial.work(operations, seed: Self.seed)
        let history = try await trial.judge("locks", seed: Self.seed)
        #expect(history.operations >= operations)
        #expect(history.lives.contains { $0.killed != nil })
      }
    }

    /// So they are while servers are killed, and a mount. (The long test also stops it for longer than it may be
    /// silent, and does all of it several times.)
    @Test(.needsFuse) func lockedRecordsUnderFaults() async throws {
      let operations = LockTrial.asked ?? 1200
      try await MountedCluster.run(mounts: 2) { cluster in
        let trial = try await LockTrial(cluster)
        try await trial.work(operations, seed: Self.seed) {
          for round in 0..<(LockTrial.isLong ? 8 : 1) {
            try await trial.progress(operations / 10)
            try await trial.killServer(ServerIndex(round % Limits.serverCount))
            try await trial.killMount()
            if LockTrial.isLong { try await trial.freezeMount() }
          }
        }
        let history = try await trial.judge("locks under faults", seed: Self.seed)
        #expect(history.operations >= operations)
      }
    }

    /// Twenty processes wait for one lock; some are killed while they wait, and each of the others has it once.
    @Test(.needsFuse) func twentyWait() async throws {
      try await MountedCluster.run(mounts: 2) { cluster in
        let trial = try await LockTrial(cluster)
        try await cluster.shell.succeed(
          """
          cat > $LOCAL/hold.py <<'END'
          import fcntl, os, sys, time
          fd = os.open(sys.argv[1], os.O_RDWR)
          fcntl.lockf(fd, fcntl.LOCK_EX)
          open(sys.argv[2] + "/held", "w").close()
          while not os.path.exists(sys.argv[2] + "/go"): time.sleep(0.01)
          END
          until_there() { for i in $(seq 600); do [ -e $1 ] && return; sleep 0.05; done; echo no $1 >&2; return 1; }
          python3 $LOCAL/hold.py $M/ranges $LOCAL & holder=$!
          until_there $LOCAL/held
          for n in $(seq 10 29); do
            if [ $((n % 2)) = 0 ]; then mount=$M; else mount=$M2; fi
            python3 $LOCAL/worker.py turn $LOCAL/history $mount $n $LOCAL/ready.$n & process[n]=$!
          done
          for n in $(seq 10 29); do until_there $LOCAL/ready.$n; done
          for n in 13 20; do
            until grep -q ' lock ' $LOCAL/history/$n.log; do sleep 0.01; done
            kill -9 ${process[n]}
            wait ${process[n]} || [ $? = 137 ]
          done
          touch $LOCAL/go
          wait $holder
          for n in $(seq 10 29); do [ $n = 13 ] || [ $n = 20 ] || wait ${process[n]}; done
          """, seconds: 120)
        let history = try await trial.judge("twenty", seed: 0)
        let steps = history.lives.flatMap(\.steps)
        let waited = steps.filter { $0.call == .lock(exclusive: true, atOnce: false, whole: false) }
        #expect(waited.count == 20)
        #expect(waited.count { $0.isDone } == 18)
      }
    }
  }
}
