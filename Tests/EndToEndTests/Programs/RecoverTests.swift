import DFSCore
import DFSTestSupport
import Foundation
import Testing

extension EndToEnd {
  /// What could not be stored does not vanish, and a call that waits dies with its process.
  @Suite struct Recovering {
    /// A close that failed since servers were away: the content is kept, listed and brought back;
    /// nothing that was changed meanwhile is replaced.
    @Test(.needsFuse) func whatAFailedCloseWroteIsBroughtBack() async throws {
      try await MountedCluster.run(mountOptions: MountedCluster.allServers) { cluster in
        let shell = cluster.shell
        try await shell.succeed(
          """
          mkdir $M/d; echo old > $M/d/changed; echo old > $M/d/same
          head -c 3000000 /dev/urandom > $LOCAL/large
          cat > $LOCAL/write.py <<'END'
          import errno, os, sys, time
          os.closerange(3, 256)  # of who waits for this test's shell
          names = ["d/new", "d/changed", "d/same"]
          fds = [os.open(name, os.O_WRONLY | os.O_CREAT) for name in names]
          with open(os.environ["LOCAL"] + "/large", "rb") as file: large = file.read()
          os.write(fds[0], large)
          os.write(fds[1], b"mine")
          os.write(fds[2], b"mine")
          open(os.environ["LOCAL"] + "/written", "w").close()
          end = time.monotonic() + 100
          while not os.path.exists(os.environ["LOCAL"] + "/down") and time.monotonic() < end:
              time.sleep(0.02)
          for fd in fds:
              try:
                  os.close(fd)
              except OSError as error:
                  assert error.errno in (errno.EROFS, errno.EIO, errno.ETIMEDOUT), error
              else:
                  raise AssertionError("close did not tell")
          END
          cd $M; python3 $LOCAL/write.py > $LOCAL/said 2>&1 & echo $! > $LOCAL/writer
          for i in $(seq 200); do [ -e $LOCAL/written ] && break; sleep 0.1; done
          """)
        for server in ServerIndex.all.suffix(2) { try await cluster.servers.kill(server) }
        try await shell.succeed(
          """
          touch $LOCAL/down
          for i in $(seq 400); do [ -e /proc/$(cat $LOCAL/writer) ] || break; sleep 0.1; done
          cat $LOCAL/said; [ ! -s $LOCAL/said ]
          """, seconds: 100)
        for server in ServerIndex.all.suffix(2) { try await cluster.servers.restart(server) }
        try await cluster.waitUntilWritable()
        try await shell.succeed(
          """
          for i in $(seq 100); do [ $(dfc $CONF recover | wc -l) = 3 ] && break; sleep 0.1; done
          [ $(dfc $CONF recover --json | grep -c '"state":"kept"') = 3 ]
          grep -q "is kept in .*recover" $XDG_CACHE_HOME/dfs/*.log
          [ "$(cat $M/d/changed $M/d/same)" = "$(printf 'old\\nold')" ]
          echo theirs > $M/d/changed
          dfc $CONF recover --all
          cmp $M/d/new $LOCAL/large
          [ "$(cat $M/d/same)" = mine ]
          [ "$(cat $M/d/changed)" = theirs ]
          [ "$(cat "$M/d/changed (recovered "*)" = mine ]
          [ -z "$(dfc $CONF recover)" ]
          [ -z "$(ls -A $XDG_CACHE_HOME/dfs/recover)" ]
          """)
        try await shell.fail("dfc $CONF recover 1-0000", status: 1)
      }
    }

    /// Unmounting stores what programs have written and not closed.
    @Test(.needsFuse) func unmountingStoresWhatIsOpen() async throws {
      try await MountedCluster.run { cluster in
        try await cluster.shell.succeed(
          """
          process=$(mount_pid $M)
          (cd $M; exec python3 -c '
          import os, time
          os.closerange(3, 256)  # of who waits for the shell
          fd = os.open("open", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
          os.write(fd, b"written " * 40000)
          open(os.environ["LOCAL"] + "/written", "w").close()
          limit = time.monotonic() + 100
          while not os.path.exists(os.environ["LOCAL"] + "/end") and time.monotonic() < limit:
              time.sleep(0.05)') & writer=$!
          for i in $(seq 200); do [ -e $LOCAL/written ] && break; sleep 0.1; done
          kill -TERM $process
          for i in $(seq 300); do [ -e /proc/$process ] || break; sleep 0.1; done
          [ ! -e /proc/$process ]
          touch $LOCAL/end; wait $writer || true
          dfs-mount $CONF $M
          [ "$(md5sum < $M/open)" = "$(printf 'written %.0s' $(seq 40000) | md5sum)" ]
          [ -z "$(dfc $CONF recover)" ]
          """, seconds: 120)
      }
    }

    /// What cannot be stored within the limit is named in the log, and kept.
    @Test(.needsFuse) func whatAnUnmountCannotStoreIsKept() async throws {
      try await MountedCluster.run(mountOptions: MountedCluster.allServers) { cluster in
        try await cluster.shell.succeed(
          """
          sed 's/^Username/Call-Timeout 4s\\nUsername/' $CONF > $DIR/hasty.conf; chmod 600 $DIR/hasty.conf
          dfs-mount --unmount $M; dfs-mount $DIR/hasty.conf $M
          echo old > $M/f
          (cd $M; exec python3 -c '
          import os, time
          os.closerange(3, 256)
          fd = os.open("f", os.O_WRONLY)
          os.write(fd, b"new")
          open(os.environ["LOCAL"] + "/written", "w").close()
          limit = time.monotonic() + 100
          while not os.path.exists(os.environ["LOCAL"] + "/end") and time.monotonic() < limit:
              time.sleep(0.05)') & echo $! > $LOCAL/writer
          for i in $(seq 200); do [ -e $LOCAL/written ] && break; sleep 0.1; done
          """)
        for server in ServerIndex.all { cluster.servers.freeze(server) }
        try await cluster.shell.succeed(
          """
          process=$(mount_pid $M)
          begin=$(date +%s)
          kill -TERM $process
          for i in $(seq 300); do [ -e /proc/$process ] || break; sleep 0.1; done
          [ ! -e /proc/$process ]
          [ $(($(date +%s) - begin)) -lt 20 ]
          touch $LOCAL/end
          grep -q "'f' was open.*not stored" $XDG_CACHE_HOME/dfs/*.log
          dfc $CONF recover | grep ' f '
          """, seconds: 60)
        for server in ServerIndex.all { cluster.servers.thaw(server) }
        try await cluster.startMount(cluster.mount)
        try await cluster.waitUntilWritable()
        try await cluster.shell.succeed("dfc $CONF recover --all; [ $(cat $M/f) = new ]")
      }
    }

    /// A read and a close that wait for frozen servers end when their process is killed.
    @Test(.needsFuse) func waitingCallsDieWithTheirProcess() async throws {
      try await MountedCluster.run(mountOptions: MountedCluster.allServers) { cluster in
        try await cluster.shell.succeed(
          """
          head -c 3000000 /dev/urandom > $M/f
          dfs-mount --unmount $M; dfs-mount $CONF $M; ls -l $M > /dev/null
          """)
        for server in ServerIndex.all { cluster.servers.freeze(server) }
        try await cluster.shell.succeed(
          """
          for call in 'cat $M/f' 'echo x > $M/new' 'ls -l $M/none' 'mkdir $M/d' 'mv $M/f $M/g'; do
            bash -c "exec $call" 2> /dev/null > /dev/null & process=$!
            sleep 1
            begin=$(date +%s%N)
            kill -KILL $process 2> /dev/null || true
            wait $process || true
            took=$((($(date +%s%N) - begin) / 1000000))
            echo "$call: $took ms"
            [ $took -lt 2000 ]
          done
          """, seconds: 60)
        for server in ServerIndex.all { cluster.servers.thaw(server) }
        try await cluster.waitUntilWritable()
        try await cluster.shell.succeed("cat $M/f > /dev/null")
      }
    }
  }
}
