import DFSTestSupport
import Foundation
import Glibc
import Testing

extension EndToEnd {
  /// Programs that many share files with, on two mounts at once.
  @Suite struct SharedPrograms {
    private static let rows = max((LockTrial.asked ?? 0) / 250, 15)

    /// Four writers of a database, of which two have their mount killed in the middle: every row is there once, and
    /// who is on the other mount hears nothing of it.
    @Test(.needsFuse, .needsProgram("sqlite3", of: "sqlite3"))
    func aDatabaseOutlivesAMount() async throws {
      try await MountedCluster.run(mounts: 2) { cluster in
        try await cluster.shell.succeed(
          """
          sqlite3 $M/rows "create table t(writer, i, primary key(writer, i))"
          cat > $LOCAL/rows.py <<'END'
          import os, sqlite3, sys, time
          path, writer, rows, told = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
          database, errors = None, 0
          for i in range(rows):
              while True:
                  try:
                      if database is None:
                          database = sqlite3.connect(f"file:{path}?mode=rw", uri=True, timeout=100, isolation_level=None)
                      database.execute("insert or ignore into t values(?, ?)", (writer, i))
                      break
                  except sqlite3.Error as error:
                      errors += 1
                      print(writer, i, repr(error), flush=True)
                      if database: database.close()
                      database = None
                      time.sleep(0.2)
              with open(told, "a") as file: file.write(".")
          print("writer", writer, "errors", errors)
          END
          """)
        async let work = cluster.shell.succeed(
          """
          for n in 1 2 3 4; do
            if [ $((n % 2)) = 0 ]; then mount=$M; else mount=$M2; fi
            python3 $LOCAL/rows.py $mount/rows $n \(Self.rows) $LOCAL/told > $LOCAL/said$n & processes="$processes $!"
          done
          for process in $processes; do wait $process; done
          for m in $M $M2; do sqlite3 $m/rows "select count(*) from t; pragma integrity_check"; done | xargs
          tail -qn 1 $LOCAL/said2 $LOCAL/said4
          """, seconds: 200 + Self.rows * 4)
        do {
          let told = cluster.local + "/told"
          try await eventually("a third of the rows", within: .seconds(60 + Self.rows)) {
            (try? Data(contentsOf: URL(fileURLWithPath: told)).count) ?? 0 > Self.rows * 4 / 3
          }
          let process = try #require(try await cluster.mountProcess(cluster.mounts[1]))
          kill(process, SIGKILL)
          try await eventually("the mount is dead") { kill(process, 0) != 0 }
          try await cluster.startMount(cluster.mounts[1])
        } catch {
          Issue.record("\(error)")
        }
        let all = Self.rows * 4
        #expect(
          try await work.output.split(whereSeparator: \.isNewline)
            == ["\(all) ok \(all) ok", "writer 2 errors 0", "writer 4 errors 0"])
      }
    }

    /// One repository on two mounts, with commits, fetches, pushes and gc at once.
    @Test(.needsFuse, .needsProgram("git", of: "git"))
    func aRepositoryOnTwoMounts() async throws {
      let rounds = Self.rows / 5
      try await MountedCluster.run(mounts: 2) { cluster in
        let result = try await cluster.shell.succeed(
          """
          export GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@b GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@b
          git init -q --bare -b main $M/all
          git clone -q $M/all $M/one
          (cd $M/one; echo start > f; git add f; git commit -qm start; git push -q -u origin HEAD:main)
          git clone -q $M2/all $M2/two
          work() {
            cd $1
            for i in $(seq \(rounds)); do
              echo $i > $2-$i; seq $((i * 100)) > $2; git add .; git commit -qm "$2 $i"
              until git pull -q --rebase && git push -q; do git rebase --abort || true; done
            done
          }
          work $M/one one 2> $LOCAL/one & processes=$!
          work $M2/two two 2> $LOCAL/two & processes="$processes $!"
          (cd $M2/all; for i in $(seq \(rounds)); do git gc -q; done) & processes="$processes $!"
          (cd $M/one; for i in $(seq \(rounds)); do git gc -q --prune=now; done) & processes="$processes $!"
          for process in $processes; do wait $process; done
          for m in $M $M2; do
            for repository in all one two; do git -C $m/$repository fsck --full > $LOCAL/fsck; grep -v dangling $LOCAL/fsck || true; done
            git -C $m/all log --oneline main | wc -l
          done | xargs
          """, seconds: 120 + rounds * 40)
        #expect(result.line == "\(2 * rounds + 1) \(2 * rounds + 1)")
      }
    }
  }
}
