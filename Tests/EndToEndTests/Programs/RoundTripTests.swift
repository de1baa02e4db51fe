import DFSCore
import Testing

extension EndToEnd {
  /// What is written through the mount is read by dfc and the other way round, bit for bit.
  @Suite struct RoundTrips {
    static let sizes = [
      0, 1, 2, 3, 4, 5, 32767, 32768, 32769, 131_071, 131_072, 131_073, 1_000_000, 100_000_000,
    ]

    @Test(.needsFuse) func everySize() async throws {
      try await MountedCluster.run(mounts: 2) { cluster in
        for size in Self.sizes {
          try await cluster.shell.succeed(
            """
            head -c \(size) /dev/urandom > $LOCAL/new
            cp $LOCAL/new $M/by-mount
            dfc $CONF get by-mount $LOCAL/copy
            cmp $LOCAL/new $LOCAL/copy
            cmp $LOCAL/new $M2/by-mount
            head -c \(size) /dev/urandom > $LOCAL/by-dfc
            dfc $CONF put $LOCAL/by-dfc
            cmp $LOCAL/by-dfc $M/by-dfc
            cmp $LOCAL/by-dfc $M2/by-dfc
            test $(stat -c %s $M/by-dfc) = \(size)
            rm $LOCAL/copy
            """, seconds: 300, "\(size) bytes")
        }
        // Again with nothing in any cache: another mount, another process.
        try await cluster.endMount(cluster.mount)
        try await cluster.startMount(cluster.mount)
        try await cluster.shell.succeed("cmp $LOCAL/new $M/by-mount; cmp $LOCAL/by-dfc $M/by-dfc")
      }
    }

    @Test(.needsFuse) func standardInputAndOutput() async throws {
      try await MountedCluster.run { cluster in
        try await cluster.shell.succeed(
          """
          cd $LOCAL
          head -c 300000 /dev/urandom > a
          cp a $M/a
          dfc $CONF get a - > b
          cmp a b
          """)
      }
    }

    /// Writes at odd offsets, holes, appends and truncation give what a local file gives.
    @Test(.needsFuse) func writesAnywhere() async throws {
      try await MountedCluster.run(mounts: 2) { cluster in
        try await cluster.shell.succeed(
          """
          cat > $LOCAL/scribble.py <<'END'
          import os, random, sys
          noise = random.Random(7)
          fd = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT, 0o644)
          for _ in range(300):
              place, size = noise.randrange(3_000_000), noise.randrange(1, 70_000)
              kind = noise.random()
              if kind < 0.7: os.pwrite(fd, noise.randbytes(size), place)
              elif kind < 0.8: os.ftruncate(fd, place)
              elif kind < 0.9:
                  data = os.pread(fd, size, place)
                  os.pwrite(fd, data[::-1], place)
              else:
                  os.close(fd)
                  fd = os.open(sys.argv[1], os.O_RDWR)
          os.fsync(fd)
          os.close(fd)
          END
          python3 $LOCAL/scribble.py $LOCAL/f
          python3 $LOCAL/scribble.py $M/f
          cmp $LOCAL/f $M/f
          cmp $LOCAL/f $M2/f
          dfc $CONF get f $LOCAL/g
          cmp $LOCAL/f $LOCAL/g
          """, seconds: 200)
      }
    }

    /// 5 GiB both ways; no process of the system holds more than 150 MiB.
    @Test(.needsFuse, .large) func fiveGiB() async throws {
      try await MountedCluster.run { cluster in
        try await cluster.shell.succeed(
          """
          peak() { awk '/VmHWM/ {print int($2 / 1024)}' /proc/$1/status; }
          head -c 5368709120 /dev/urandom > $LOCAL/big
          cp $LOCAL/big $M/by-mount
          dfc $CONF mkdir by-dfc
          python3 - <<'END'
          import os, resource, subprocess
          e = os.environ
          subprocess.run(["dfc", e["CONF"], "put", e["LOCAL"] + "/big", "by-dfc/"], check=True)
          subprocess.run(["dfc", e["CONF"], "get", "by-mount", e["LOCAL"] + "/copy"], check=True)
          print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024, "MiB in dfc")
          assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss < 150 * 1024
          END
          cmp $LOCAL/big $LOCAL/copy
          rm $LOCAL/copy
          cmp $LOCAL/big $M/by-dfc/big
          for p in $(server_pid DFS1) $(server_pid DFS2) $(mount_pid $M); do
            mib=$(peak $p)
            echo "$(cat /proc/$p/comm): $mib MiB"
            test $mib -lt 150
          done
          """, seconds: 3600)
      }
    }
  }
}
