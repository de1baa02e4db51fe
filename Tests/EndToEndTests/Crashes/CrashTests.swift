import DFSCore
import DFSTestSupport
import Testing

extension EndToEnd {
  /// kill -9 at any moment: what was acknowledged stays, what was not is old or new.
  @Suite struct Crashes {
    /// A dfc killed anywhere in a put leaves the old or the new version; the next put carries on.
    @Test(.needsFuse) func aClientKilledWhilePublishing() async throws {
      try await MountedCluster.run { cluster in
        try await cluster.shell.succeed(
          """
          cd $LOCAL
          mkdir old new
          head -c 3000000 /dev/urandom > old/f
          head -c 5000000 /dev/urandom > new/f
          dfc $CONF put old/f
          begin=$(date +%s%N); dfc $CONF put new/f; end=$(date +%s%N)
          whole=$(( (end - begin) / 1000000 ))
          dfc $CONF put old/f
          had=old
          for i in $(seq 30); do
            if [ $had = new ]; then put=old; else put=new; fi
            dfc $CONF put $put/f & process=$!
            sleep $(printf '0.%03d' $((whole * i / 30 % 1000)))
            kill -9 $process 2>/dev/null || true
            wait $process 2>/dev/null || true
            rm -f got; dfc $CONF get f got
            if cmp -s got new/f; then had=new; else cmp got old/f; had=old; fi
            cmp got $M/f
            echo "after $((whole * i / 30)) of $whole ms: $had"
          done
          dfc $CONF put old/f
          cmp old/f $M/f
          [ "$(dfc $CONF list)" = f ]
          """, seconds: 200)
      }
    }

    /// A mount killed while cp runs: mounted again over the stale mount, files are old or new, and
    /// what was closed is there.
    @Test(.needsFuse) func aMountKilledWhileWriting() async throws {
      try await MountedCluster.run { cluster in
        for round in 1...5 {
          try await cluster.shell.succeed(
            """
            mkdir -p $LOCAL/in; rm -f $LOCAL/closed $LOCAL/in/*
            for i in $(seq 200); do head -c $((i * 1000)) /dev/urandom > $LOCAL/in/f$i; done
            (for i in $(seq 200); do
              cp $LOCAL/in/f$i $M/f$i 2>/dev/null || break; echo f$i >> $LOCAL/closed
            done) & process=$!
            sleep 0.\(round)
            kill -KILL $(mount_pid $M)
            wait $process || true
            dfs-mount $CONF $M
            touch $LOCAL/closed
            for f in $(cat $LOCAL/closed); do cmp $LOCAL/in/$f $M/$f; done
            echo "$(wc -l < $LOCAL/closed) files were closed"
            rm -f $M/*
            """, seconds: 100)
        }
      }
    }

    /// All four servers killed at once, again and again, under writes: what a close acknowledged is
    /// there afterwards.
    @Test(.needsFuse) func allServersKilled() async throws {
      try await MountedCluster.run(mountOptions: MountedCluster.allServers) { cluster in
        for round in 1...4 {
          async let writing: Shell.Result = cluster.shell.bash(
            """
            mkdir -p $LOCAL/in\(round) $M/r\(round)
            for i in $(seq 300); do
              head -c $((i * 500)) /dev/urandom > $LOCAL/in\(round)/f$i
              cp $LOCAL/in\(round)/f$i $M/r\(round)/f$i 2>/dev/null && echo f$i >> $LOCAL/closed\(round)
              [ ! -e $LOCAL/enough\(round) ] || break
            done
            """, seconds: 120)
          try await eventually("ten files are closed", within: .seconds(60)) {
            try await cluster.shell.bash("[ $(wc -l < $LOCAL/closed\(round)) -ge 10 ]").status == 0
          }
          for server in ServerIndex.all { try await cluster.servers.kill(server) }
          try await cluster.shell.succeed("touch $LOCAL/enough\(round)")
          _ = try await writing
          for server in ServerIndex.all { try await cluster.servers.restart(server) }
          try await cluster.waitUntilWritable()
          try await cluster.shell.succeed(
            """
            for f in $(cat $LOCAL/closed\(round)); do
              cmp $LOCAL/in\(round)/$f $M/r\(round)/$f
              dfc $CONF get r\(round)/$f - | cmp - $LOCAL/in\(round)/$f
            done
            """, seconds: 120)
        }
      }
    }
  }
}
