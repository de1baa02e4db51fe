import DFSCore
import DFSTestSupport
import Testing

extension EndToEnd {
  /// Large stored files that are changed a little, with real servers: what is not written is read from the
  /// stored version, when the file is stored again.
  @Suite struct SparseWrites {
    private static let bytes = 96_000_000

    /// Makes `$LOCAL/big` and stores it as `$M/big`; what the mount had of it is forgotten.
    private func store(_ cluster: MountedCluster) async throws {
      try await cluster.shell.succeed(
        """
        head -c \(Self.bytes) /dev/urandom > $LOCAL/big; cp $LOCAL/big $M/big
        dfs-mount --unmount $M; dfs-mount $CONF $M
        """, seconds: 120)
    }

    /// The servers are frozen while the file is changed: nothing of it could be fetched.
    @Test(.needsFuse) func aChangeOfALargeFileNeedsNoServer() async throws {
      try await MountedCluster.run(mounts: 2) { cluster in
        try await store(cluster)
        try await cluster.shell.succeed(
          """
          cat > $LOCAL/change.py <<'END'
          import os, sys, time
          os.closerange(3, 256)
          where, process = os.environ["LOCAL"], sys.argv[1]
          def wait(name):
              end = time.monotonic() + 60
              while not os.path.exists(where + "/" + name):
                  assert time.monotonic() < end
                  time.sleep(0.01)
          def spool():
              bytes = 0
              for fd in os.listdir(f"/proc/{process}/fd"):
                  try:
                      if "(deleted)" in os.readlink(f"/proc/{process}/fd/{fd}"):
                          bytes += os.stat(f"/proc/{process}/fd/{fd}").st_blocks * 512
                  except FileNotFoundError: pass
              return bytes
          fd = os.open(os.environ["M"] + "/big", os.O_RDWR)
          there = os.open(where + "/big", os.O_RDWR)
          # The kernel asks this before the first write; it is no content.
          try: os.getxattr(fd, "security.capability")
          except OSError: pass
          open(where + "/opened", "w").close()
          wait("frozen")
          for f in (fd, there):
              begin = time.monotonic()
              os.pwrite(f, b"x", 50000000)
              took = time.monotonic() - begin
              assert took < 1, took
              os.ftruncate(f, 90000000)
              os.ftruncate(f, 95000000)
              os.pwrite(f, b"y" * 5000, 94000000)
          assert 0 < spool() < 100 << 10, spool()
          open(where + "/changed", "w").close()
          wait("thawed")
          assert os.pread(fd, 3, 49999999) == os.pread(there, 3, 49999999)
          os.fsync(fd)
          for f in (fd, there): os.pwrite(f, b"z", 1)
          os.close(fd)
          END
          python3 $LOCAL/change.py $(mount_pid $M) > $LOCAL/said 2>&1 & echo $! > $LOCAL/writer
          for i in $(seq 500); do [ -e $LOCAL/opened ] && exit 0; sleep 0.02; done
          cat $LOCAL/said; exit 1
          """)
        for server in ServerIndex.all { cluster.servers.freeze(server) }
        try await cluster.shell.succeed(
          """
          touch $LOCAL/frozen
          for i in $(seq 500); do [ -e $LOCAL/changed ] || [ -s $LOCAL/said ] && break; sleep 0.02; done
          """)
        for server in ServerIndex.all { cluster.servers.thaw(server) }
        try await cluster.shell.succeed(
          """
          cat $LOCAL/said; [ -e $LOCAL/changed ]; touch $LOCAL/thawed
          for i in $(seq 1000); do [ -e /proc/$(cat $LOCAL/writer) ] || break; sleep 0.05; done
          cat $LOCAL/said; [ ! -s $LOCAL/said ]
          cmp $LOCAL/big $M/big; cmp $LOCAL/big $M2/big
          [ "$(dfc $CONF get big - | md5sum)" = "$(md5sum < $LOCAL/big)" ]
          """, seconds: 120)
      }
    }

    /// Two neighbours are gone: the close says so, and what was written is brought back when they are.
    @Test(.needsFuse) func whatWasWrittenSurvivesThatTheRestCannotBeRead() async throws {
      try await MountedCluster.run(mountOptions: MountedCluster.allServers) { cluster in
        try await store(cluster)
        try await cluster.shell.succeed(
          """
          cat > $LOCAL/write.py <<'END'
          import errno, os, time
          os.closerange(3, 256)
          where = os.environ["LOCAL"]
          fd = os.open(os.environ["M"] + "/big", os.O_WRONLY)
          os.pwrite(fd, b"written", 5000000)
          open(where + "/written", "w").close()
          end = time.monotonic() + 100
          while not os.path.exists(where + "/down") and time.monotonic() < end: time.sleep(0.02)
          try: os.close(fd)
          except OSError as error:
              assert error.errno in (errno.EROFS, errno.EIO, errno.ETIMEDOUT), error
          else: raise AssertionError("close did not tell")
          END
          python3 $LOCAL/write.py > $LOCAL/said 2>&1 & echo $! > $LOCAL/writer
          for i in $(seq 200); do [ -e $LOCAL/written ] && break; sleep 0.1; done
          """)
        for server in ServerIndex.all.suffix(2) { try await cluster.servers.kill(server) }
        try await cluster.shell.succeed(
          """
          touch $LOCAL/down
          for i in $(seq 400); do [ -e /proc/$(cat $LOCAL/writer) ] || break; sleep 0.1; done
          cat $LOCAL/said; [ ! -s $LOCAL/said ]
          for i in $(seq 300); do [ $(dfc $CONF recover | wc -l) = 1 ] && break; sleep 0.1; done
          dfc $CONF recover | tee /dev/stderr | grep 'that only the version before has'
          [ $(dfc $CONF recover --json | grep -c '"missing":[1-9]') = 1 ]
          """, seconds: 150)
        for server in ServerIndex.all.suffix(2) { try await cluster.servers.restart(server) }
        try await cluster.waitUntilWritable()
        try await cluster.shell.succeed(
          """
          cmp $LOCAL/big $M/big
          dfc $CONF recover --all
          printf written | dd of=$LOCAL/big bs=1 seek=5000000 conv=notrunc status=none
          cmp $LOCAL/big $M/big
          [ -z "$(dfc $CONF recover)" ]
          """, seconds: 120)
      }
    }

    /// A file that is longer than the spool is changed and extended.
    @Test(.needsFuse) func aFileThatIsLongerThanTheSpoolIsChanged() async throws {
      try await MountedCluster.run { cluster in
        try await cluster.shell.succeed(
          """
          head -c 40000000 /dev/urandom > $LOCAL/long; cp $LOCAL/long $M/long
          sed 's/^Username/Spool-Size 16M\\nUsername/' $CONF > $DIR/small.conf; chmod 600 $DIR/small.conf
          dfs-mount --unmount $M; dfs-mount $DIR/small.conf $M
          for there in $LOCAL $M; do
            printf middle | dd of=$there/long bs=1 seek=20000000 conv=notrunc status=none
            printf end >> $there/long
          done
          cmp $LOCAL/long $M/long
          dfc $CONF verify --all
          """, seconds: 120)
      }
    }
  }
}
