import Testing

extension EndToEnd {
  /// Names that one mount replaces, renames or removes while the other one uses them.
  @Suite struct Replacing {
    /// An editor's atomic save, seen by readers: no call fails, each reads one save whole, and none
    /// that is older than the last that had returned when the file was opened.
    @Test(.needsFuse) func aReaderReadsEachSaveWhole() async throws {
      try await MountedCluster.run(mounts: 2) { cluster in
        let result = try await cluster.shell.succeed(
          """
          cat > $LOCAL/save.py <<'END'
          import mmap, os, stat, sys, threading
          here, there = os.environ["M"], os.environ["M2"]
          def content(i): return (b"%08d" % i) * 375
          done, changed = [0], [0]
          errors = []
          isOver = threading.Event()
          def save(i):
              with open(there + "/.new", "wb") as file: file.write(content(i))
              os.rename(there + "/.new", there + "/f")
              done[0] = i
          def check(data, before):
              assert len(data) == 3000 and data == content(int(data[:8])), data[:16]
              assert int(data[:8]) >= before, f"{data[:8]} after {before}"
          def read(mount):
              before = done[0]
              with open(mount + "/f", "rb") as file:
                  check(file.read(), before)
                  assert os.fstat(file.fileno()).st_size == 3000
          def map(mount):
              before = done[0]
              with open(mount + "/f", "r+b") as file:
                  with mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as bytes: check(bytes[:], before)
          def attributes(mount):
              assert os.stat(mount + "/f").st_size == 3000
              # Changes of both mounts take turns, which is slow where the machine is busy.
              if done[0] < changed[0] + 10: return
              changed[0] = done[0]
              os.chmod(mount + "/f", 0o644); os.utime(mount + "/f")
              os.setxattr(mount + "/f", "user.a", b"a"); os.listxattr(mount + "/f")
          def loop(call, mount):
              try:
                  while not isOver.is_set():
                      call(mount)
                      counts[call.__name__] = counts.get(call.__name__, 0) + 1
              except BaseException as error: errors.append(f"{call.__name__}: {error!r}")
          counts = {}
          save(0)
          threads = [threading.Thread(target=loop, args=pair) for pair in
                     [(read, here), (read, here), (map, here), (attributes, here), (read, there)]]
          for thread in threads: thread.start()
          for i in range(1, 301): save(i)
          isOver.set()
          for thread in threads: thread.join()
          assert not errors, errors
          assert not [n for n in os.listdir(here) if "conflict" in n], os.listdir(here)
          print(counts)
          END
          python3 $LOCAL/save.py
          """, seconds: 300)
        print(result.output, terminator: "")
      }
    }

    /// Programs on two mounts that rename, save, remove, link and look at the same few names: each call
    /// does what it says, or says that the name is not there.
    @Test(.needsFuse) func renamesOfTwoMountsMeet() async throws {
      try await MountedCluster.run(mounts: 2) { cluster in
        let result = try await cluster.shell.succeed(
          """
          cat > $LOCAL/names.py <<'END'
          import os, random, sys
          folder, seed = sys.argv[1], int(sys.argv[2])
          choose = random.Random(seed)
          names = [f"{folder}/n{i}" for i in range(4)]
          done = 0
          for i in range(400):
              one, two = choose.sample(names, 2)
              what = choose.randrange(8)
              try:
                  if what < 3: os.rename(one, two)
                  elif what == 3:
                      new = f"{folder}/new-{seed}"
                      with open(new, "w") as file: file.write(f"{seed} {i}")
                      os.rename(new, one)
                  elif what == 4: os.stat(one)
                  elif what == 5:
                      with open(one) as file: assert len(file.read().split()) == 2
                  elif what == 6: os.chmod(one, 0o600 + choose.randrange(8))
                  elif choose.random() < 0.5: os.unlink(one)
                  else: os.link(one, two)
              except FileNotFoundError: continue
              except FileExistsError: assert what == 7; continue
              done += 1
          print(seed, done)
          END
          for seed in 1 2 3 4; do
            if [ $((seed % 2)) = 0 ]; then mount=$M; else mount=$M2; fi
            python3 $LOCAL/names.py $mount $seed & processes="$processes $!"
          done
          for process in $processes; do wait $process; done
          [ "$(ls $M)" = "$(ls $M2)" ]
          """, seconds: 250)
        print(result.output, terminator: "")
      }
    }

    /// What was written to a file that another mount replaced or removed meanwhile is kept beside it, once;
    /// of what this mount removed itself nothing is.
    @Test(.needsFuse) func whatWasWrittenToAReplacedFileIsKept() async throws {
      try await MountedCluster.run(mounts: 2) { cluster in
        try await cluster.shell.succeed(
          """
          cat > $LOCAL/kept.py <<'END'
          import os, random, threading
          here, there = os.environ["M"], os.environ["M2"]
          def content(path):
              with open(path, "rb") as file: return file.read()
          def kept(folder):
              names = [name for name in os.listdir(folder) if "conflict" in name]
              assert len(names) == 1, os.listdir(folder)
              assert names[0].startswith("f (conflict " + os.uname().nodename + " "), names
              return f"{folder}/{names[0]}"
          def replace(path):
              with open(there + "/new", "w") as file: file.write("new")
              os.rename(there + "/new", path)
          for number, size in enumerate([5, 300000]):
              for change in replace, os.unlink:
                  for isSynced in False, True:
                      d = f"/{number}-{change.__name__}-{isSynced}"
                      os.mkdir(here + d)
                      with open(here + d + "/f", "w") as file: file.write("before")
                      data = random.randbytes(size)
                      fd = os.open(here + d + "/f", os.O_RDWR)
                      os.write(fd, data)
                      change(there + d + "/f")
                      if isSynced: os.fsync(fd)
                      else: os.close(os.dup(fd))
                      expected = data + b"before"[size:]
                      for mount in there, here: assert content(kept(mount + d)) == expected
                      # It goes on in that file.
                      os.pwrite(fd, b"more", size); os.fchmod(fd, 0o600)
                      os.fsync(fd); os.close(fd)
                      for mount in there, here:
                          assert content(kept(mount + d))[:size + 4] == data + b"more"
                          assert os.stat(kept(mount + d)).st_mode & 0o777 == 0o600
                      if change == replace: assert content(here + d + "/f") == b"new"
                      else: assert not os.path.exists(here + d + "/f")
          # The directory is gone: at the top.
          os.mkdir(here + "/gone")
          fd = os.open(here + "/gone/f", os.O_WRONLY | os.O_CREAT); os.write(fd, b"found")
          os.unlink(there + "/gone/f"); os.rmdir(there + "/gone")
          os.close(fd)
          assert content(kept(here)) == b"found"
          # Removed here, also in the very moment.
          os.mkdir(here + "/own")
          for i in range(60):
              path = here + f"/own/f{i}"
              fd = os.open(path, os.O_WRONLY | os.O_CREAT); os.write(fd, b"x")
              if i % 2:
                  remover = threading.Thread(target=os.unlink, args=(path,))
                  remover.start(); os.close(fd); remover.join()
              else:
                  with open(here + "/own/new", "w") as file: file.write("new")
                  remover = threading.Thread(target=os.rename, args=(here + "/own/new", path))
                  remover.start(); os.close(fd); remover.join()
          assert sorted(os.listdir(there + "/own")) == sorted(f"f{i}" for i in range(0, 60, 2))
          END
          python3 $LOCAL/kept.py
          dfc $CONF verify --all
          """, seconds: 120)
      }
    }
  }
}
