import DFSCore
import DFSTestSupport
import Foundation
import Testing

extension EndToEnd {
  /// Locks among several mounts of one user.
  @Suite struct Locks {
    /// One process: `HOW FILE TIMES [FIRST]`, which adds to a number under a lock, or appends lines; how long it pauses
    /// in between is in PAUSE.
    private static let program = """
      cat > $LOCAL/locks.py <<'END'
      import fcntl, os, struct, sys, time
      how, path, times = sys.argv[1], sys.argv[2], int(sys.argv[3])
      first = int(sys.argv[4]) if len(sys.argv) > 4 else 0
      pause = float(os.environ.get("PAUSE", "0"))
      fd = os.open(path, os.O_RDWR | os.O_CREAT | (os.O_APPEND if how == "append" else 0))
      def ofd(kind):
          fcntl.fcntl(fd, 38, struct.pack("hhqqi4x", kind, 0, first, 10, 0))
      lock = {
          "posix": (lambda: fcntl.lockf(fd, fcntl.LOCK_EX, 10, first), lambda: fcntl.lockf(fd, fcntl.LOCK_UN, 10, first)),
          "flock": (lambda: fcntl.flock(fd, fcntl.LOCK_EX), lambda: fcntl.flock(fd, fcntl.LOCK_UN)),
          "ofd": (lambda: ofd(fcntl.F_WRLCK), lambda: ofd(fcntl.F_UNLCK)),
      }
      def tries():
          while True:
              try: return fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB, 10, first)
              except BlockingIOError: time.sleep(0.3)
      lock["tries"] = (tries, lock["posix"][1])
      take, give = lock["flock" if how == "append" else how]
      for i in range(times):
          take()
          if how == "append":
              os.write(fd, f"{os.getpid()} {i}\\n".encode())
          else:
              os.pwrite(fd, b"%-10d" % (int(os.pread(fd, 10, first).strip(b"\\0 ") or b"0") + 1), first)
          give()
          if pause: time.sleep(pause)
      END
      all() { for process in $processes; do wait $process; done; processes=; }

      """

    /// A number that four processes on two mounts count up is right, with each kind of lock.
    @Test(.needsFuse, arguments: ["posix", "flock", "ofd"])
    func nothingIsLostUnderALock(_ kind: String) async throws {
      try await MountedCluster.run(mounts: 2) { cluster in
        let result = try await cluster.shell.succeed(
          Self.program + """
            for m in $M $M $M2 $M2; do
              PAUSE=0.001 python3 $LOCAL/locks.py \(kind) $m/number 100 & processes="$processes $!"
            done
            all
            echo $(cat $M/number) $(cat $M2/number) $(ls $M)
            """, seconds: 120)
        #expect(result.line == "400 400 number")
      }
    }

    /// Two ranges of one file, each locked by a process on either mount, at once.
    @Test(.needsFuse) func rangesAreWrittenAtOnce() async throws {
      try await MountedCluster.run(mounts: 2) { cluster in
        let result = try await cluster.shell.succeed(
          Self.program + """
            printf %-200s '' > $M/numbers
            for m in $M $M2; do
              for first in 0 100; do
                PAUSE=0.001 python3 $LOCAL/locks.py posix $m/numbers 50 $first & processes="$processes $!"
              done
            done
            all
            for m in $M $M2; do head -c 10 $m/numbers; tail -c 100 $m/numbers | head -c 10; done
            echo; ls $M
            """, seconds: 120)
        #expect(
          result.output.split(whereSeparator: \.isWhitespace) == [
            "100", "100", "100", "100", "numbers",
          ])
      }
    }

    @Test(.needsFuse) func lockedAppendsAreAllThere() async throws {
      try await MountedCluster.run(mounts: 2) { cluster in
        let result = try await cluster.shell.succeed(
          Self.program + """
            for m in $M $M2; do python3 $LOCAL/locks.py append $m/log 200 & processes="$processes $!"; done
            all
            cmp $M/log $M2/log
            sort -u $M/log | wc -l
            """, seconds: 120)
        #expect(result.line == "400")
      }
    }

    /// Rows of a database, by two processes on each of two mounts.
    @Test(.needsFuse, .needsProgram("sqlite3", of: "sqlite3"))
    func aDatabaseOnTwoMounts() async throws {
      try await MountedCluster.run(mounts: 2) { cluster in
        let result = try await cluster.shell.succeed(
          """
          sqlite3 $M/rows "create table t(x)"
          for m in $M $M $M2 $M2; do
            (for i in $(seq 10); do echo ".timeout 60000"; echo "insert into t values($i);"; done |
              sqlite3 -bail $m/rows) & processes="$processes $!"
          done
          for process in $processes; do wait $process; done
          for m in $M $M2; do sqlite3 $m/rows "select count(*) from t; pragma integrity_check"; done | xargs
          """, seconds: 180)
        #expect(result.line == "40 ok 40 ok")
      }
    }

    /// What is in the way is told, with F_GETLK too; who does not wait is refused; a signal ends waiting; the end of
    /// the process ends its locks at once.
    @Test(.needsFuse) func whatIsInTheWay() async throws {
      try await MountedCluster.run(mounts: 2) { cluster in
        try await cluster.shell.succeed(
          """
          cat > $LOCAL/hold.py <<'END'
          import fcntl, os, sys, time
          fd = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT)
          for first in (30, 5): fcntl.lockf(fd, fcntl.LOCK_EX, 10, first)
          open(sys.argv[2], "w").close()
          time.sleep(600)
          END
          cat > $LOCAL/look.py <<'END'
          import errno, fcntl, os, signal, struct, sys
          fd = os.open(sys.argv[1], os.O_RDWR)
          found = struct.unpack("hhqqi4x", fcntl.fcntl(fd, fcntl.F_GETLK, struct.pack("hhqqi4x", fcntl.F_RDLCK, 0, 0, 0, 0)))
          assert found[0] == fcntl.F_WRLCK and found[2:4] == (5, 10), found
          fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB, 5, 0)
          try:
              fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB, 10, 0)
              sys.exit("it was granted")
          except OSError as error:
              assert error.errno in (errno.EAGAIN, errno.EACCES), error
          class Alarm(Exception): pass
          def ring(*_): raise Alarm
          signal.signal(signal.SIGALRM, ring)
          signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGALRM])
          signal.alarm(1)
          try:
              fcntl.lockf(fd, fcntl.LOCK_EX, 10, 0)
              sys.exit("it was granted")
          except Alarm: pass
          END
          python3 $LOCAL/hold.py $M/f $LOCAL/held & holder=$!
          until [ -e $LOCAL/held ]; do sleep 0.05; done
          for m in $M $M2; do python3 $LOCAL/look.py $m/f; done
          python3 -c 'import fcntl, os, sys; fcntl.lockf(os.open(sys.argv[1], os.O_RDWR), fcntl.LOCK_EX)' $M2/f & waiter=$!
          kill -9 $holder
          wait $waiter
          """, seconds: 120)
      }
    }

    /// Processes that wait for each other in a circle, on one mount and on up to four: one of them is told.
    @Test(.needsFuse, arguments: ["1 1", "1 2", "1 2 3", "1 2 3 4", "1 2 1 3"])
    func whoWouldWaitForeverIsTold(_ mounts: String) async throws {
      try await MountedCluster.run(mounts: 4) { cluster in
        let result = try await cluster.shell.succeed(
          """
          cat > $LOCAL/circle.py <<'END'
          import errno, fcntl, os, sys, time
          mount, local, number, all = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
          files = [os.open(f"{mount}/{n % all}", os.O_RDWR | os.O_CREAT) for n in (number, number + 1)]
          fcntl.lockf(files[0], fcntl.LOCK_EX)
          open(f"{local}/ready{number}", "w").close()
          while not all == sum(os.path.exists(f"{local}/ready{n}") for n in range(all)): time.sleep(0.01)
          try:
              fcntl.lockf(files[1], fcntl.LOCK_EX)
              print("granted")
          except OSError as error:
              assert error.errno == errno.EDEADLK, error
              print("refused")
          END
          M1=$M; n=0; set -- \(mounts)
          for mount in "$@"; do
            m=M$mount
            python3 $LOCAL/circle.py ${!m} $LOCAL $n $# > $LOCAL/said$n & processes="$processes $!"
            n=$((n + 1))
          done
          for process in $processes; do wait $process; done
          cat $LOCAL/said* | sort | uniq -c | xargs
          """, seconds: 60)
        let others = mounts.split(separator: " ").count - 1
        #expect(result.line == "\(others) granted 1 refused")
      }
    }

    /// A mount that is killed, or frozen, has its locks no longer than about ten seconds, whether others wait or try
    /// again and again (as SQLite does); what the frozen one wrote under its lock is refused once it goes on.
    @Test(.needsFuse, arguments: ["KILL", "STOP"], ["posix", "tries"])
    func theLocksOfADeadMountEnd(_ signal: String, _ how: String) async throws {
      try await MountedCluster.run(mounts: 2) { cluster in
        let result = try await cluster.shell.succeed(
          Self.program + """
            cat > $LOCAL/hold.py <<'END'
            import errno, fcntl, os, sys, time
            fd = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT)
            fcntl.lockf(fd, fcntl.LOCK_EX)
            os.pwrite(fd, b"of the frozen one", 0)
            open(sys.argv[2], "w").close()
            while not os.path.exists(sys.argv[3]): time.sleep(0.05)
            for call in (lambda: os.pwrite(fd, b"more", 0), lambda: os.fsync(fd)):
                try:
                    call()
                    print("done")
                except OSError as error:
                    print(errno.errorcode[error.errno])
            END
            python3 $LOCAL/hold.py $M2/f $LOCAL/held $LOCAL/go > $LOCAL/told & holder=$!
            until [ -e $LOCAL/held ]; do sleep 0.05; done
            mount=$(pgrep -f "^dfs-mount --foreground.* $M2 ")
            kill -\(signal) $mount
            timeout 60 python3 $LOCAL/locks.py \(how) $M/f 1
            touch $LOCAL/go
            if [ \(signal) = STOP ]; then kill -CONT $mount; fi
            wait $holder
            echo $(cat $M/f) $(cat $LOCAL/told)
            """, seconds: 120)
        #expect(result.line == (signal == "STOP" ? "1 EIO EIO" : "1 ENOTCONN ENOTCONN"))
      }
    }

    /// What was written under a lock, which was given back, while the mount alone used the file, does not replace
    /// later what others wrote when the mount was frozen. Who had the file open then is told so by every call, and who
    /// opens it later sees what the others wrote.
    @Test(.needsFuse) func whatAFrozenMountWroteUnderALockIsNotStoredLater() async throws {
      try await MountedCluster.run(mounts: 2) { cluster in
        let result = try await cluster.shell.succeed(
          Self.program + """
            cat > $LOCAL/leave.py <<'END'
            import errno, fcntl, os, sys, time
            fd = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT)
            fcntl.lockf(fd, fcntl.LOCK_EX)
            os.pwrite(fd, b"of the frozen one", 0)
            fcntl.lockf(fd, fcntl.LOCK_UN)
            open(sys.argv[2], "w").close()
            while not os.path.exists(sys.argv[3]): time.sleep(0.05)
            for call in (os.fsync, os.fsync, os.close):
                try:
                    call(fd)
                    print("done")
                except OSError as error:
                    print(errno.errorcode[error.errno])
            END
            cat > $LOCAL/idle.py <<'END'
            import errno, fcntl, os, sys, time
            fd = os.open(sys.argv[1], os.O_RDWR)
            open(sys.argv[2], "w").close()
            while not os.path.exists(sys.argv[3]): time.sleep(0.05)
            lock, unlock = (lambda kind=kind: fcntl.lockf(fd, kind) for kind in (fcntl.LOCK_EX, fcntl.LOCK_UN))
            for call in (lock, lock, lambda: os.pwrite(fd, b"idle", 0), unlock):
                try:
                    call()
                    print("done", flush=True)
                except OSError as error:
                    print(errno.errorcode[error.errno], flush=True)
            while not os.path.exists(sys.argv[4]): time.sleep(0.05)
            END
            python3 $LOCAL/leave.py $M2/f $LOCAL/left $LOCAL/closed > $LOCAL/told & holder=$!
            until [ -e $LOCAL/left ]; do sleep 0.05; done
            python3 $LOCAL/idle.py $M2/f $LOCAL/opened $LOCAL/go $LOCAL/closed > $LOCAL/idle & idle=$!
            until [ -e $LOCAL/opened ]; do sleep 0.05; done
            mount=$(pgrep -f "^dfs-mount --foreground.* $M2 ")
            kill -STOP $mount
            timeout 60 python3 $LOCAL/locks.py posix $M/f 1
            kill -CONT $mount
            touch $LOCAL/go
            until [ $(wc -l < $LOCAL/idle) = 4 ]; do sleep 0.05; done
            timeout 60 python3 $LOCAL/locks.py posix $M2/f 1
            echo $(cat $M/f) $(cat $M2/f) $(stat -c %s $M2/f) $(cat $LOCAL/idle)
            touch $LOCAL/closed
            wait $holder $idle
            echo $(cat $M/f) $(ls $M) $(cat $LOCAL/told)
            timeout 60 python3 $LOCAL/locks.py posix $M2/f 1
            cat $M/f
            """, seconds: 120)
        #expect(
          result.output.split(whereSeparator: \.isNewline).map {
            $0.trimmingCharacters(in: .whitespaces)
          }
            == ["2 2 10 EIO EIO EIO done", "2 f EIO EIO EIO", "3"])
      }
    }

    /// Two that have a shared flock and want the exclusive one: each lets the first go, so both get it, in turn.
    @Test(.needsFuse, arguments: ["$M", "$M2"])
    func twoThatMakeTheirFlockExclusive(_ other: String) async throws {
      try await MountedCluster.run(mounts: 2) { cluster in
        try await cluster.shell.succeed(
          """
          cat > $LOCAL/both.py <<'END'
          import fcntl, os, sys, time
          fd = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT)
          fcntl.flock(fd, fcntl.LOCK_SH)
          open(sys.argv[2], "w").close()
          while not os.path.exists(sys.argv[3]): time.sleep(0.01)
          fcntl.flock(fd, fcntl.LOCK_EX)
          END
          python3 $LOCAL/both.py $M/f $LOCAL/one $LOCAL/two & processes=$!
          python3 $LOCAL/both.py \(other)/f $LOCAL/two $LOCAL/one & processes="$processes $!"
          for process in $processes; do wait $process; done
          """, seconds: 60)
      }
    }

    @Test(.needsFuse) func withTwoServersThereAreNoNewLocks() async throws {
      try await MountedCluster.run { cluster in
        try await cluster.shell.succeed("echo content > $M/f")
        for number in [1, 3] { try await cluster.servers.kill(ServerIndex(number)) }
        let result = try await cluster.shell.succeed(
          """
          python3 -c 'import errno, fcntl, os, sys
          fd = os.open(sys.argv[1], os.O_RDONLY)
          try: fcntl.lockf(fd, fcntl.LOCK_SH)
          except OSError as error: print(errno.errorcode[error.errno])' $M/f
          """, seconds: 90)
        #expect(result.line == "ENOLCK")
      }
    }

    /// The lock of `-o locks=mount` is the kernel's: it costs nothing, and other mounts do not see it.
    @Test(.needsFuse) func locksOfOneMount() async throws {
      try await MountedCluster.run(mounts: 2, mountOptions: "locks=mount") { cluster in
        let result = try await cluster.shell.succeed(
          """
          exec 8> $M/f 9> $M2/f
          flock -n 8; flock -n 9
          exec 7> $M/f; flock -n 7 || echo refused
          """)
        #expect(result.line == "refused")
      }
    }
  }
}
