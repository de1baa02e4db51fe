import DFSCore
import DFSTestSupport
import Testing

extension EndToEnd {
  /// What becomes of copies and rows when servers fail in the middle of something, come back from a
  /// backup, or have much to forget.
  @Suite struct Redundancy {
    private static let isWell = """
      dfc $CONF status --json | python3 -c '
      import json, sys
      status = json.load(sys.stdin)
      good = all(s["isUp"] and s.get("missing", 1) == 0 for s in status["servers"])
      good = good and not status["lagging"] and status["standIns"] == 0
      sys.exit(0 if good and status["complete"] == status["files"] else 1)'
      """

    private func untilWell(_ cluster: MountedCluster) async throws {
      try await eventually("everything is well", within: .seconds(90)) {
        try await cluster.shell.bash(Self.isWell).status == 0
      }
    }

    /// Begins a put, and strikes once a server has some MB of it.
    private func put(
      in cluster: MountedCluster, striking: () async throws -> Void
    ) async throws -> Shell.Result {
      let put = Task {
        try await cluster.shell.bash(
          "head -c 200000000 /dev/urandom > $LOCAL/big; dfc $CONF put $LOCAL/big", seconds: 200)
      }
      try await eventually("parts are on their way", within: .seconds(60)) {
        try await cluster.shell.bash("test $(du -s $DIR/DFS3/Alice/tmp | cut -f1) -gt 10000")
          .status == 0
      }
      try await striking()
      return try await put.value
    }

    /// It is as good as dead: its copies go to the one opposite, within the time of one call.
    @Test(.needsFuse) func aServerFrozenWhileWritingIsStoodInFor() async throws {
      try await MountedCluster.run { cluster in
        try await cluster.shell.succeed("echo first > $M/first")
        let result = try await put(in: cluster) { cluster.servers.freeze(ServerIndex(2)) }
        #expect(result.status == 0, "\(result)")
        try await cluster.shell.succeed(
          "dfc $CONF get big $LOCAL/got; cmp $LOCAL/big $LOCAL/got; rm $LOCAL/got", seconds: 100)
        cluster.servers.thaw(ServerIndex(2))
        try await untilWell(cluster)
        try await cluster.shell.succeed("dfc $CONF verify --all", seconds: 100)
      }
    }

    /// Either the old content or the new one, and then that for good; nothing hangs.
    @Test(.needsFuse) func threeServersFrozenWhileWritingLeaveOldOrNew() async throws {
      try await MountedCluster.run(mountOptions: MountedCluster.allServers) { cluster in
        try await cluster.shell.succeed(
          """
          echo Call-Timeout: 4s >> $CONF; head -c 900000 /dev/urandom > $LOCAL/big
          dfc $CONF put $LOCAL/big; cp $LOCAL/big $LOCAL/old
          """)
        let others = [0, 1, 2].map { ServerIndex($0) }
        let result = try await put(in: cluster) {
          for server in others { cluster.servers.freeze(server) }
        }
        #expect(result.status != 0, "\(result)")
        for server in others { cluster.servers.thaw(server) }
        try await cluster.waitUntilWritable()
        let first = try await cluster.shell.succeed(
          """
          dfc $CONF get big $LOCAL/got
          cmp -s $LOCAL/got $LOCAL/old && echo old || { cmp $LOCAL/got $LOCAL/big; echo new; }
          """, seconds: 100)
        try await cluster.shell.succeed("dfc $CONF heal --wait", seconds: 100)
        try await cluster.shell.succeed(
          """
          [ \(first.line) = new ] && mv $LOCAL/big $LOCAL/right || mv $LOCAL/old $LOCAL/right
          rm $LOCAL/got; dfc $CONF get big $LOCAL/got; cmp $LOCAL/right $LOCAL/got
          dfc $CONF verify --all
          """, seconds: 100)
      }
    }

    /// A directory that was put back from a backup is old: what it says wins nowhere, and what it
    /// does not have is not gone.
    @Test(.needsFuse) func anOldBackupIsBroughtUpToDate() async throws {
      try await MountedCluster.run(mountOptions: MountedCluster.allServers) { cluster in
        try await cluster.shell.succeed(
          """
          mkdir $M/d; for i in 1 2 3 4; do echo old$i > $M/d/f$i; done
          for i in 1 2; do head -c 500000 /dev/urandom > $M/d/large$i; done; sync $M
          """)
        try await cluster.servers.stop(ServerIndex(1))
        try await cluster.shell.succeed("cp -a $DIR/DFS2 $LOCAL/backup")
        try await cluster.servers.restart(ServerIndex(1))
        try await cluster.waitUntilWritable()
        try await cluster.shell.succeed(
          """
          echo new > $M/d/f1; rm $M/d/f2; mv $M/d/f3 $M/moved; mkdir $M/e; echo more > $M/e/f5
          head -c 600000 /dev/urandom > $M/d/large1; rm $M/d/large2
          head -c 700000 /dev/urandom > $M/e/large3; sync $M
          (cd $M && find . -type f | sort | xargs sha256sum) > $LOCAL/sums
          """)
        try await cluster.servers.stop(ServerIndex(1))
        try await cluster.shell.succeed("rm -r $DIR/DFS2; cp -a $LOCAL/backup $DIR/DFS2")
        try await cluster.servers.restart(ServerIndex(1))
        try await untilWell(cluster)
        try await cluster.shell.succeed("dfc $CONF verify --all")
        // With DFS4 alone: each copy of DFS2 is needed.
        for server in [0, 2] { try await cluster.servers.kill(ServerIndex(server)) }
        try await cluster.endMount(cluster.mount)
        try await cluster.startMount(cluster.mount)
        try await cluster.shell.succeed(
          """
          cd $M; sha256sum --quiet -c $LOCAL/sums
          [ "$(find . -type f | wc -l)" = $(wc -l < $LOCAL/sums) ]
          [ ! -e d/f2 ]; [ ! -e d/f3 ]; [ ! -e d/large2 ]
          """)
        for server in [0, 2] { try await cluster.servers.restart(ServerIndex(server)) }
      }
    }

    /// What was replaced is removed: the servers keep what the live files need, and a limit. Who has
    /// an old version open goes on reading it meanwhile.
    @Test(.needsFuse) func overwritesLeaveNothingBehind() async throws {
      let rounds = Requirements.large ? 5000 : 200
      try await MountedCluster.run(mounts: 2, arguments: ["--keep-seconds", "0"]) { cluster in
        try await cluster.shell.succeed(
          """
          cat > $LOCAL/overwrite.py <<'END'
          import os, sys, time
          here, there, rounds = os.environ["M"], os.environ["M2"], int(sys.argv[1])
          old = os.urandom(400_000)
          with open(here + "/held", "wb") as file: file.write(old)
          held = os.open(there + "/held", os.O_RDONLY)
          for round in range(rounds):
              with open(here + "/small", "wb") as file: file.write(os.urandom(3000))
              with open(here + "/large", "wb") as file: file.write(os.urandom(150_000))
              if round % 10 == 0:
                  with open(here + "/held", "wb") as file: file.write(os.urandom(400_000))
          # What the last change replaced stays until another one follows.
          open(here + "/last", "w").close()
          def blocks(path):
              try: return os.lstat(path).st_blocks
              except FileNotFoundError: return 0    # removed since it was listed
          def used(server):
              return sum(blocks(os.path.join(where, name)) * 512
                         for where, _, names in os.walk(f"{os.environ['DIR']}/DFS{server}/Alice")
                         for name in names)
          # Two copies of 553,000 bytes on four servers, and what a database and its log may take: the log
          # begins anew within a second of its 4 MiB, and keeps its size.
          deadline = time.monotonic() + 60
          while max(used(server) for server in range(1, 5)) > 300_000 + 12_000_000:
              assert time.monotonic() < deadline, [used(server) for server in range(1, 5)]
              time.sleep(0.2)
          assert os.pread(held, len(old) + 1, 0) == old
          os.close(held)
          parts = lambda server: [name for _, _, names in os.walk(
              f"{os.environ['DIR']}/DFS{server}/Alice/parts") for name in names]
          # Large and held are the only files whose parts are files: two parts each on a server.
          while any(len(parts(server)) != 4 for server in range(1, 5)):
              assert time.monotonic() < deadline, [parts(server) for server in range(1, 5)]
              time.sleep(0.2)
          END
          python3 $LOCAL/overwrite.py \(rounds)
          dfc $CONF verify --all
          """, seconds: 60 + rounds / 2)
      }
    }

    /// They share the work: hardly anything is brought twice.
    @Test(.needsFuse) func twoHealersDoNotFight() async throws {
      try await MountedCluster.run(mountOptions: "heal=off") { cluster in
        try await cluster.shell.succeed(
          "for i in $(seq 40); do head -c $((i * 5000)) /dev/urandom > $M/f$i; done; sync $M",
          seconds: 100)
        try await cluster.servers.stop(ServerIndex(2))
        try await cluster.shell.succeed("rm -r $DIR/DFS3")
        try await cluster.servers.restart(ServerIndex(2))
        try await cluster.shell.succeed(
          """
          for who in 1 2; do dfc $CONF heal --wait --json > $LOCAL/heal$who & pids="$pids $!"; done
          for pid in $pids; do wait $pid; done
          python3 -c '
          import json, os
          reports = [json.load(open(os.environ["LOCAL"] + f"/heal{who}")) for who in (1, 2)]
          print([report["copies"] for report in reports])
          assert 80 <= sum(report["copies"] for report in reports) < 84, reports
          assert all(report["copiesLeft"] == 0 for report in reports)'
          dfc $CONF verify --all
          """, seconds: 100)
      }
    }
  }
}
