import DFSCore
import DFSTestSupport
import Foundation
import Testing

extension EndToEnd {
  /// Unmounting though files be open, and what is said where mounting fails.
  @Suite struct Unmounting {
    /// It returns at once, whatever is open or still to be stored; what is written afterwards, too, is
    /// stored by the mount's process, which ends with the last file.
    @Test(.needsFuse) func lazyUnmountReturnsAtOnceAndLosesNothing() async throws {
      try await MountedCluster.run { cluster in
        try await cluster.shell.succeed(
          """
          cat > $LOCAL/hold.py <<'END'
          import os, sys, time
          os.closerange(3, 256)
          fd = os.open(sys.argv[1] + "/held", os.O_WRONLY | os.O_CREAT)
          os.write(fd, b"first ")
          open(os.environ["LOCAL"] + "/ready", "w").close()
          end = time.monotonic() + 100
          while not os.path.exists(os.environ["LOCAL"] + "/go") and time.monotonic() < end:
              time.sleep(0.02)
          os.write(fd, b"second")
          os.close(fd)
          END
          python3 $LOCAL/hold.py $M & holder=$!
          for i in $(seq 100); do [ -e $LOCAL/ready ] && break; sleep 0.1; done
          process=$(mount_pid $M)
          begin=$(date +%s%N)
          dfs-mount --unmount $M --lazy
          took=$((($(date +%s%N) - begin) / 1000000)); echo "$took ms"
          [ $took -lt 2000 ]
          ! mountpoint -q $M
          [ -e /proc/$process ]
          touch $LOCAL/go; wait $holder
          for i in $(seq 300); do [ -e /proc/$process ] || break; sleep 0.1; done
          [ ! -e /proc/$process ]
          [ "$(dfc $CONF get held -)" = 'first second' ]
          """)
        let nothing = try await cluster.shell.fail("dfs-mount --unmount $M --lazy", status: 1)
        #expect(nothing.errors.contains("nothing is mounted on"), "\(nothing)")
      }
    }

    /// A frozen mount is not asked.
    @Test(.needsFuse) func lazyUnmountWaitsForNoFrozenMount() async throws {
      try await MountedCluster.run { cluster in
        try await cluster.shell.succeed(
          """
          process=$(mount_pid $M); kill -STOP $process
          begin=$(date +%s%N)
          dfs-mount --unmount $M --lazy
          took=$((($(date +%s%N) - begin) / 1000000)); echo "$took ms"
          kill -CONT $process
          [ $took -lt 2000 ]
          ! mountpoint -q $M
          """)
      }
    }

    /// Who is not root mounts through fusermount3: its reason is ours.
    @Test(.needsFuse, .needsRoot) func fusermountsReasonIsTold() async throws {
      try await MountedCluster.run { cluster in
        let refused = try await cluster.shell.fail(
          """
          cat > $LOCAL/script <<'END'
          # A device that others may open, for this script only.
          mknod $LOCAL/fuse c 10 229; chmod 666 $LOCAL/fuse; mount --bind $LOCAL/fuse /dev/fuse
          chmod 755 $DIR; cp $CONF $LOCAL/own.conf; chown 65534 $LOCAL/own.conf
          mkdir $LOCAL/cache $LOCAL/theirs; chown 65534 $LOCAL/cache
          export XDG_CACHE_HOME=$LOCAL/cache
          setpriv --reuid=65534 --regid=65534 --clear-groups dfs-mount $LOCAL/own.conf $LOCAL/theirs
          END
          unshare -m bash -e $LOCAL/script
          """, status: 1)
        #expect(refused.errors.contains("fusermount3: "), "\(refused)")
        #expect(refused.errors.contains("cannot mount on"), "\(refused)")
        #expect(!refused.errors.contains("no reason"), "\(refused)")
      }
    }

    /// A server that only this machine reaches says so, with the option that changes it.
    @Test func aServerOnLoopbackSaysSo() async throws {
      try await MountedCluster.run(mounts: 0) { cluster in
        try await eventually("it is said") {
          cluster.servers.log(of: ServerIndex(0)).contains("loopback only")
        }
        let lines = cluster.servers.log(of: ServerIndex(0)).split(separator: "\n")
          .filter { $0.contains("listens on loopback only") }
        #expect(lines.count == 1 && lines[0].contains("--address"), "\(lines)")
      }
      try await MountedCluster.run(mounts: 0, arguments: ["--address", "0.0.0.0"]) { cluster in
        try await eventually("it is said") {
          cluster.servers.log(of: ServerIndex(0)).contains("the certificate of")
        }
        let log = cluster.servers.log(of: ServerIndex(0))
        #expect(!log.contains("loopback only"), "\(log)")
      }
    }
  }
}
