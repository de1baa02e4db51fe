import DFSCore
import DFSTestSupport
import Foundation
import Testing

extension EndToEnd {
  /// Mounting, failing to mount, a mount that died, and unmounting.
  @Suite struct MountLife {
    @Test(.needsFuse) func unmountEndsTheProcessAndKeepsTheFiles() async throws {
      try await MountedCluster.run { cluster in
        try await cluster.shell.succeed("echo kept > $M/f; mountpoint -q $M")
        let process = try #require(try await cluster.mountProcess(cluster.mount))
        try await cluster.endMount(cluster.mount)
        try await cluster.shell.fail("mountpoint -q $M")
        try await eventually("the process ends", within: .seconds(10)) {
          !FileManager.default.fileExists(atPath: "/proc/\(process)")
        }
        try await cluster.startMount(cluster.mount)
        try await cluster.shell.succeed("[ $(cat $M/f) = kept ]")
      }
    }

    /// As mount(8) calls it for `mount -t fuse.dfs` and for fstab.
    @Test(.needsFuse) func theHelperOfMountMountsAndSaysWhyNot() async throws {
      let helper = BuiltProgram.script("mount.fuse.dfs")
      try await MountedCluster.run { cluster in
        try await cluster.endMount(cluster.mount)
        let options = "rw,nosuid,_netdev,nofail,nouser,x-systemd.automount,entry_timeout=2"
        try await cluster.shell.succeed(
          "\(helper) $CONF $M -n -o \(options) -t fuse.dfs; echo kept > $M/f; umount $M")
        try await cluster.shell.succeed(
          "\(helper) $CONF $M -r -v; [ $(cat $M/f) = kept ]; if touch $M/f; then exit 9; fi; umount $M"
        )
        try await cluster.shell.succeed("\(helper) $CONF $M -f; ! mountpoint -q $M")
        let wrong = try await cluster.shell.fail("\(helper) $CONF $M -o nonsense", status: 1)
        #expect(wrong.errors.contains("'nonsense'"))
        try await cluster.shell.fail("\(helper) $LOCAL/none $M", status: 1)
        try await cluster.shell.fail("\(helper) $CONF", status: 1)
        try await cluster.shell.fail("\(helper) $CONF $LOCAL/none", status: 32)
        try await cluster.startMount(cluster.mount)
      }
    }

    @Test(.needsFuse) func startsOverAStaleMount() async throws {
      try await MountedCluster.run { cluster in
        try await cluster.shell.succeed("echo kept > $M/f")
        for _ in 1...3 {
          try await cluster.shell.succeed("kill -KILL $(mount_pid $M)")
          try await cluster.shell.fail("ls $M")
          try await cluster.startMount(cluster.mount)
          try await cluster.shell.succeed(
            "[ $(cat $M/f) = kept ]; [ $(grep -c $M /proc/mounts) = 1 ]")
        }
        try await cluster.shell.succeed("kill -KILL $(mount_pid $M)")
        try await cluster.endMount(cluster.mount)
        try await cluster.shell.fail("grep -q $M /proc/mounts")
      }
    }

    @Test(.needsFuse) func aWrongPasswordIsRefused() async throws {
      try await MountedCluster.run(mounts: 2) { cluster in
        try await cluster.endMount(cluster.mounts[1])
        try await cluster.shell.succeed(
          "sed 's/^Password:.*/Password: wrong/' $CONF > $DIR/wrong.conf; chmod 600 $DIR/wrong.conf"
        )
        let mount = try await cluster.shell.fail("dfs-mount $DIR/wrong.conf $M2", seconds: 10)
        #expect(mount.errors.contains("Invalid Username/Password"))
        let dfc = try await cluster.shell.fail("dfc $DIR/wrong.conf list", seconds: 10, status: 3)
        #expect(
          (dfc.output + dfc.errors).contains("Invalid Username/Password. Please try again."))
        try await cluster.shell.fail("mountpoint -q $M2")
      }
    }

    @Test(.needsFuse) func fewerThanTwoServersAreRefused() async throws {
      try await MountedCluster.run(mounts: 2) { cluster in
        try await cluster.endMount(cluster.mounts[1])
        for server in ServerIndex.all.prefix(3) { try await cluster.servers.kill(server) }
        let mount = try await cluster.shell.fail("dfs-mount $CONF $M2", seconds: 10)
        #expect(mount.errors.contains("DFS1"), "\(mount)")
        try await cluster.shell.fail("mountpoint -q $M2")
        try await cluster.servers.restart(ServerIndex(0))
        try await cluster.startMount(cluster.mounts[1])
        try await cluster.shell.succeed("ls $M2")
      }
    }

    @Test(.needsFuse) func aReadableConfigurationIsRefused() async throws {
      try await MountedCluster.run { cluster in
        let refused = try await cluster.shell.fail(
          "cp $CONF $DIR/open.conf; chmod 644 $DIR/open.conf; dfc $DIR/open.conf list")
        #expect(refused.errors.contains("chmod"))
      }
    }

    @Test(.needsFuse) func readOnlyAndInFront() async throws {
      try await MountedCluster.run(mounts: 2) { cluster in
        try await cluster.shell.succeed("echo there > $M/f")
        try await cluster.endMount(cluster.mounts[1])
        try await cluster.shell.succeed("dfs-mount -o ro $CONF $M2; [ $(cat $M2/f) = there ]")
        try await cluster.shell.fail("echo no > $M2/g")
        try await cluster.endMount(cluster.mounts[1])
        try await cluster.shell.succeed(
          """
          dfs-mount -f $CONF $M2 > $LOCAL/front 2>&1 & process=$!
          for i in $(seq 100); do mountpoint -q $M2 && break; sleep 0.1; done
          [ $(cat $M2/f) = there ]
          kill -TERM $process
          wait $process
          ! mountpoint -q $M2
          """)
      }
    }

    /// A mount that is killed while it tells the kernel what others changed, and while programs wait
    /// for its answers in the same directory, ends at once: found by scripts/torture, seed 2.
    @Test(.needsFuse) func aMountKilledUnderOthersChangesEnds() async throws {
      try await MountedCluster.run(mounts: 2) { cluster in
        try await cluster.shell.succeed(
          """
          mkdir $M/d
          cat > $LOCAL/hurry.py <<'END'
          import os, sys, time
          os.chdir(sys.argv[1])
          end = time.monotonic() + 2
          try:
              while time.monotonic() < end:
                  name = sys.argv[2]
                  os.close(os.open("new-" + name, os.O_CREAT | os.O_WRONLY))
                  os.rename("new-" + name, name)
                  os.unlink(name)
          except OSError:
              pass
          END
          for round in $(seq 6); do
            for who in a b c; do
              python3 $LOCAL/hurry.py $M2/d $who &
              python3 $LOCAL/hurry.py $M/d $who-mine &
            done
            sleep 1.$round
            process=$(mount_pid $M)
            kill -KILL $process
            for i in $(seq 50); do
              threads=$(ls /proc/$process/task 2>/dev/null | wc -l || true)
              [ $threads -le 1 ] && break
              sleep 0.1
            done
            if [ $threads -gt 1 ]; then umount -f $M; echo "it does not end"; exit 1; fi
            wait
            dfs-mount $CONF $M
          done
          """, seconds: 200)
      }
    }
  }
}
