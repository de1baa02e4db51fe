import Testing

extension EndToEnd {
  /// Programs that read a file to its end and wait for more, which another mount writes.
  @Suite struct Following {
    /// Each line once, in order, to readers that began before there was any; also after the file was cut off and
    /// written anew, and after it was renamed and made anew.
    @Test(.needsFuse) func linesOfAnotherMountArrive() async throws {
      try await MountedCluster.run(mounts: 2) { cluster in
        try await cluster.shell.succeed(
          """
          cat > $LOCAL/append.py <<'END'
          import os, sys
          first, last, path = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
          while first < last:
              count = first % 7 + 1 if first % 100 > 50 else 1
              fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
              for i in range(first, min(first + count, last)): os.write(fd, b"line %05d %s\\n" % (i, b"x" * (i % 90)))
              os.close(fd); first += count
          END
          cat > $LOCAL/read.py <<'END'
          import sys, time
          with open(sys.argv[1]) as file, open(sys.argv[2], "w", buffering=1) as copy:
              while True:
                  line = file.readline()
                  if line: copy.write(line)
                  else: time.sleep(0.02)
          END
          soon() { for i in $(seq 300); do if "$@"; then return; fi; sleep 0.1; done; echo "not seen: $*"; return 1; }
          same() { for copy in F f read; do cmp -s $LOCAL/expected $LOCAL/$copy || return 1; done; }
          : > $M/log
          tail -F -s 0.1 $M2/log > $LOCAL/F 2> $LOCAL/F.said & one=$!
          tail -f -s 0.1 $M2/log > $LOCAL/f 2> $LOCAL/f.said & two=$!
          python3 $LOCAL/read.py $M2/log $LOCAL/read & three=$!
          trap "kill -KILL $one $two $three" EXIT
          python3 $LOCAL/append.py 0 1000 $M/log
          cp $M/log $LOCAL/expected
          [ "$(wc -l < $LOCAL/expected)" = 1000 ]
          soon same
          [ "$(stat -c %s $M2/log)" = "$(stat -c %s $LOCAL/expected)" ]
          # Within a second.
          begin=$(date +%s%N); echo another >> $M/log; echo another >> $LOCAL/expected
          soon same
          echo "all have it after $((($(date +%s%N) - begin) / 1000000)) ms"
          kill -KILL $two $three; trap "kill -KILL $one" EXIT
          cut_off() { grep -q truncated $LOCAL/F.said; }
          : > $M/log; soon cut_off
          python3 $LOCAL/append.py 1000 1010 $M/log; tail -n 10 $M/log >> $LOCAL/expected
          soon cmp -s $LOCAL/expected $LOCAL/F
          mv $M/log $M/log.1; python3 $LOCAL/append.py 1010 1020 $M/log; cat $M/log >> $LOCAL/expected
          soon cmp -s $LOCAL/expected $LOCAL/F
          """, seconds: 240)
      }
    }

    /// Of what another mount does there are no events, though it is seen.
    @Test(.needsFuse) func inotifyTellsOfItsMountOnly() async throws {
      try await MountedCluster.run(mounts: 2) { cluster in
        try await cluster.shell.succeed(
          """
          cat > $LOCAL/watch.py <<'END'
          import ctypes, os, time
          here, there = os.environ["M"], os.environ["M2"]
          libc = ctypes.CDLL(None)
          open(here + "/f", "w").close(); os.stat(there + "/f")
          watches = [libc.inotify_init1(os.O_NONBLOCK) for path in [here, there]]
          for fd, path in zip(watches, [here, there]):
              for name in [path, path + "/f"]: assert libc.inotify_add_watch(fd, name.encode(), 0x3c6) > 0
          def events(fd):
              try: return len(os.read(fd, 1 << 16))
              except BlockingIOError: return 0
          def change():
              with open(here + "/f", "a") as file: file.write("more")
              open(here + "/g", "w").close(); os.rename(here + "/g", here + "/h"); os.remove(here + "/h")
              open(here + "/last", "w").close()
          change()
          begin = time.monotonic()
          while not os.path.exists(there + "/last") or os.stat(there + "/f").st_size != 4:
              assert time.monotonic() - begin < 5
              time.sleep(0.01)
          assert events(watches[0]) > 0 and events(watches[1]) == 0
          END
          python3 $LOCAL/watch.py
          """, seconds: 60)
      }
    }

    /// What is open for reading on a mount keeps neither its `stat` nor others' reads from the newest version,
    /// while who reads in the middle goes on with his own: in every size, and beside a mapping.
    @Test(.needsFuse) func oneInTheMiddleKeepsOneVersion() async throws {
      try await MountedCluster.run(mounts: 2) { cluster in
        try await cluster.shell.succeed(
          """
          cat > $LOCAL/middle.py <<'END'
          import mmap, os, subprocess, time
          here, there = os.environ["M2"] + "/f", os.environ["M"] + "/f"
          def publish(letter, size):
              with open(there, "wb") as file: file.write(letter * size)
          def until(what, expected):
              begin = time.monotonic()
              while (got := what()) != expected:
                  assert time.monotonic() - begin < 5, (got, expected)
          def shown(): return int(subprocess.check_output(["stat", "-c", "%s", here]))
          for size in [3000, 300_000, 12 << 20]:
              for next in [size // 2, size, size + 1000]:
                  publish(b"a", size)
                  held = os.open(here, os.O_RDONLY)
                  mapped = mmap.mmap(held, size, prot=mmap.PROT_READ)
                  fd = os.open(here, os.O_RDONLY)
                  data = os.read(fd, size // 3)
                  publish(b"b", next)
                  until(shown, next)
                  assert subprocess.check_output(["cat", here]) == b"b" * next
                  assert os.fstat(fd).st_size == size
                  while more := os.read(fd, size // 5): data += more
                  assert data == b"a" * size, (size, next, len(data), data.count(b"b"))
                  assert shown() == next and mapped[:] == b"a" * size
                  mapped.close(); os.close(held); os.close(fd)
                  assert os.stat(here).st_size == next
          END
          python3 $LOCAL/middle.py
          """, seconds: 120)
      }
    }
  }
}
