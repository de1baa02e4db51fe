import DFSCore
import DFSTestSupport
import Testing

extension EndToEnd {
  /// Large files that change a little: stored as layers, put together, and settled.
  @Suite struct Layers {
    /// Functions of Python for the scripts.
    private static let tools = """
      import os, random, sys, time
      M, LOCAL = os.environ["M"], os.environ["LOCAL"]
      def settled(path): return os.getxattr(path, "user.dfs.settled").decode().split()
      def used(): return sum(
          os.stat(os.path.join(d, f)).st_blocks * 512
          for server in os.listdir(os.environ["DIR"]) if server.startswith("DFS")
          for d, _, files in os.walk(os.path.join(os.environ["DIR"], server, "users"))
          for f in files if not f.startswith("namespace"))
      def until(what, condition, seconds):
          end = time.monotonic() + seconds
          while not condition():
              assert time.monotonic() < end, what
              time.sleep(0.1)
      """

    private func python(
      _ cluster: MountedCluster, _ script: String, seconds: Int = 120,
      at location: SourceLocation = #_sourceLocation
    ) async throws {
      try await cluster.shell.succeed(
        """
        cat > $LOCAL/script.py <<'END'
        \(Self.tools)
        \(script)
        END
        export DIR; python3 $LOCAL/script.py
        """, seconds: seconds, at: location)
    }

    /// Makes `$LOCAL/big` and stores it as `$M/big`.
    private func store(_ cluster: MountedCluster, bytes: Int = 48_000_000) async throws {
      try await cluster.shell.succeed(
        "head -c \(bytes) /dev/urandom > $LOCAL/big; cp $LOCAL/big $M/big", seconds: 120)
    }

    @Test(.needsFuse) func aChangeStoresWhatItChanges() async throws {
      try await MountedCluster.run(mounts: 2) { cluster in
        try await store(cluster)
        try await python(
          cluster,
          """
          before = used()
          there, here = (os.open(p + "/big", os.O_RDWR) for p in (LOCAL, M))
          random.seed(3)
          depth = 0
          for i in range(300):
              size = os.fstat(there).st_size
              kind = random.random()
              place = random.randrange(size)
              data = random.randbytes(random.choice((1, 100, 4096, 20000)))
              for fd in (there, here):
                  if kind < 0.8: os.pwrite(fd, data, place)
                  elif kind < 0.9: os.pwrite(fd, data, size)
                  elif kind < 0.95: os.ftruncate(fd, size - 5000)
                  else: os.ftruncate(fd, size + 3000)
                  os.fsync(fd)
              if i % 10 == 0: depth = max(depth, int((settled(M + "/big") + ["0"])[1]))
          assert 1 < depth <= 96, depth
          # The bytes that changed, merged a few times, in two copies; not 300 times the file.
          assert used() - before < 64 << 20, used() - before
          os.close(here)
          assert settled(M + "/big")[0] == "no"
          """)
        try await cluster.shell.succeed(
          """
          cmp $LOCAL/big $M/big; cmp $LOCAL/big $M2/big
          dfc $CONF where big | grep 'not settled'; dfc $CONF status | grep '1 files are not settled'
          dfc $CONF get big - | cmp - $LOCAL/big; dfc $CONF verify --all
          dfc $CONF settle big --json | grep '"settled":1'
          cmp $LOCAL/big $M/big; cmp $LOCAL/big $M2/big; dfc $CONF verify --all
          dfc $CONF list --md5 | grep $(md5sum < $LOCAL/big | cut -c1-32)
          dfs-mount --unmount $M; dfs-mount $CONF $M; cmp $LOCAL/big $M/big
          """, seconds: 120)
      }
    }

    @Test(.needsFuse) func aQuietFileIsSettled() async throws {
      try await MountedCluster.run { cluster in
        try await store(cluster, bytes: 300_000)
        try await python(
          cluster,
          """
          import hashlib
          with open(M + "/big", "r+b") as f: f.seek(1000); f.write(b"changed")
          whole = open(M + "/big", "rb").read()
          assert settled(M + "/big") == ["no", "1", "7"], settled(M + "/big")
          until("it is settled", lambda: settled(M + "/big") == ["yes"], 60)
          assert os.getxattr(M + "/big", "user.dfs.md5").decode() == hashlib.md5(whole).hexdigest()
          assert open(M + "/big", "rb").read() == whole
          """)
        try await cluster.shell.succeed(
          "if dfc $CONF status | grep 'not settled'; then exit 1; fi; dfc $CONF verify --all")
      }
    }

    /// Whoever heals settles what was left for twice the time.
    @Test(.needsFuse) func whatAKilledMountLeftIsSettledByOthers() async throws {
      try await MountedCluster.run { cluster in
        try await store(cluster, bytes: 300_000)
        try await cluster.shell.succeed(
          """
          printf changed | dd of=$M/big bs=1 seek=1000 conv=notrunc,fsync status=none
          kill -9 $(mount_pid $M); dfs-mount --unmount $M || umount -l $M
          for i in $(seq 60); do
            dfc $CONF heal || true
            if ! dfc $CONF status | grep 'not settled'; then break; fi; sleep 1
          done
          if dfc $CONF status | grep 'not settled'; then exit 1; fi
          dfs-mount $CONF $M
          printf changed | dd of=$LOCAL/big bs=1 seek=1000 conv=notrunc status=none; cmp $LOCAL/big $M/big
          """, seconds: 150)
      }
    }

    @Test(.needsFuse) func appendsOfTwoMounts() async throws {
      try await MountedCluster.run(mounts: 2) { cluster in
        try await store(cluster, bytes: 400_000)
        try await cluster.shell.succeed(
          """
          cat > $LOCAL/append.py <<'END'
          import os, sys
          for i in range(100):
              for name in ("big", "small"):
                  fd = os.open(sys.argv[1] + "/" + name, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
                  os.write(fd, f"{sys.argv[2]} {i}\\n".encode())
                  os.close(fd)
          END
          python3 $LOCAL/append.py $M one & one=$!
          python3 $LOCAL/append.py $M2 two & two=$!
          wait $one; wait $two
          [ "$(ls $M)" = "$(printf 'big\\nsmall')" ]
          for mount in $M $M2; do
            head -c 400000 $mount/big | cmp - $LOCAL/big
            for name in big small; do
              for who in one two; do
                tail -c +1 $mount/$name | grep -a "^$who " > $LOCAL/lines || true
                [ $name = small ] || tail -c +400001 $mount/big | grep "^$who " > $LOCAL/lines
                seq 0 99 | sed "s/^/$who /" | cmp - $LOCAL/lines
              done
            done
            [ $(wc -l < $mount/small) = 200 ]; [ $(tail -c +400001 $mount/big | wc -l) = 200 ]
          done
          """, seconds: 150)
      }
    }

    /// A descriptor that stays open sees what others appended before it, and goes on behind it.
    @Test(.needsFuse) func anOpenDescriptorGoesOnBehindOthers() async throws {
      try await MountedCluster.run(mounts: 2) { cluster in
        try await python(
          cluster,
          """
          M2 = os.environ["M2"]
          def append(fd, text): os.write(fd, text); os.fsync(fd)
          for name, first in (("small", b"first;"), ("large", b"f" * 200000)):
              with open(M + "/" + name, "wb") as f: f.write(first)
              one, two = (os.open(p + "/" + name, os.O_RDWR | os.O_APPEND) for p in (M, M2))
              for i in range(5):
                  append(one, b"one %d;" % i); append(two, b"two %d;" % i)
              expected = first + b"".join(b"one %d;two %d;" % (i, i) for i in range(5))
              until("the last is seen", lambda: os.fstat(two).st_size == len(expected), 10)
              assert os.pread(two, len(expected) + 1, 0) == expected
              os.close(one); os.close(two)
              assert open(M + "/" + name, "rb").read() == expected
              assert sorted(os.listdir(M)) == sorted({"small", name}), os.listdir(M)
          """)
      }
    }

    @Test(.needsFuse) func changesOfTwoMountsAreKept() async throws {
      try await MountedCluster.run(mounts: 2) { cluster in
        try await store(cluster, bytes: 1_000_000)
        try await python(
          cluster,
          """
          M2 = os.environ["M2"]
          one, two = (os.open(p + "/big", os.O_RDWR) for p in (M, M2))
          os.pwrite(one, b"one", 1000); os.pwrite(two, b"two", 500000)
          os.close(one); os.close(two)
          old = open(LOCAL + "/big", "rb").read()
          def changed(place, text): return old[:place] + text + old[place + 3:]
          names = sorted(os.listdir(M))
          assert len(names) == 2 and names[1].startswith("big (conflict "), names
          for mount in (M, M2):
              assert open(mount + "/big", "rb").read() == changed(500000, b"two")
              assert open(mount + "/" + names[1], "rb").read() == changed(1000, b"one")
          """)
        try await cluster.shell.succeed(
          "dfc $CONF settle; if dfc $CONF status | grep 'not settled'; then exit 1; fi; dfc $CONF verify --all"
        )
      }
    }

    @Test(.needsFuse) func aCopyMovesNoByte() async throws {
      try await MountedCluster.run(mounts: 2) { cluster in
        try await store(cluster)
        try await python(
          cluster,
          """
          before = used()
          fd, to = os.open(M + "/big", os.O_RDONLY), os.open(M + "/copy", os.O_WRONLY | os.O_CREAT)
          size, done = os.fstat(fd).st_size, 0
          while done < size:
              count = os.copy_file_range(fd, to, min(size - done, 10_000_000))
              assert count > 0
              done += count
          os.close(to); os.close(fd)
          assert used() - before < 4 << 20, used() - before
          """)
        try await cluster.shell.succeed(
          """
          cmp $LOCAL/big $M2/copy
          [ "$(dfc $CONF list --md5 | grep copy | cut -c1-32)" = "$(md5sum < $LOCAL/big | cut -c1-32)" ]
          printf changed | dd of=$M/copy bs=1 seek=70000 conv=notrunc status=none; cmp $LOCAL/big $M/big
          printf other | dd of=$M2/big bs=1 seek=10 conv=notrunc status=none
          cp $LOCAL/big $LOCAL/copy; printf changed | dd of=$LOCAL/copy bs=1 seek=70000 conv=notrunc status=none
          cmp $LOCAL/copy $M2/copy; rm $M2/big; dfc $CONF settle
          dfc $CONF verify --all; cmp $LOCAL/copy $M/copy; cmp $LOCAL/copy $M2/copy
          """, seconds: 120)
      }
    }

    @Test(.needsFuse) func aServerIsAway() async throws {
      try await MountedCluster.run { cluster in
        try await store(cluster, bytes: 6_000_000)
        let change = """
          random.seed(os.path.getsize(LOCAL + "/big"))
          there, here = (os.open(p + "/big", os.O_RDWR) for p in (LOCAL, M))
          for i in range(40):
              place, data = random.randrange(6_000_000), random.randbytes(random.choice((50, 200_000)))
              for fd in (there, here): os.pwrite(fd, data, place); os.fsync(fd)
          """
        try await python(cluster, change)
        try await cluster.servers.kill(ServerIndex(1))
        try await python(cluster, change)
        try await cluster.shell.succeed(
          "cmp $LOCAL/big $M/big; dfc $CONF get big - | cmp - $LOCAL/big")
        let refused = try await cluster.shell.fail("dfc $CONF settle big")
        #expect(refused.errors.contains("DFS2"), "\\(refused.errors)")
        try await cluster.servers.restart(ServerIndex(1))
        try await cluster.shell.succeed(
          """
          dfc $CONF heal --wait; cmp $LOCAL/big $M/big; dfc $CONF verify --all
          dfc $CONF settle --wait; cmp $LOCAL/big $M/big; dfc $CONF verify --all
          """, seconds: 120)
      }
    }
  }
}
