import Testing

extension EndToEnd {
  /// Handles of files that last (name_to_handle_at(2)), and directories that are listed from any place on: what
  /// servers of other protocols need of a file system.
  @Suite struct Handles {
    private static let python = #"""
      import ctypes, errno, os, struct, sys
      M, M2, LOCAL = os.environ["M"], os.environ.get("M2"), os.environ["LOCAL"]
      libc = ctypes.CDLL(None, use_errno=True)
      def failed(): raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
      def handle(path):
          room = ctypes.create_string_buffer(struct.pack("Ii", 128, 0), 136)
          mount = ctypes.c_int()
          if libc.name_to_handle_at(-100, path.encode(), room, ctypes.byref(mount), 0) != 0: failed()
          size, kind = struct.unpack_from("Ii", room)
          return kind, room.raw[8:8 + size]
      def opened(known, flags=os.O_RDONLY, mount=M):
          kind, data = known
          room = ctypes.create_string_buffer(struct.pack("Ii", len(data), kind) + data)
          root = os.open(mount, os.O_RDONLY | os.O_DIRECTORY)
          try:
              fd = libc.open_by_handle_at(root, room, flags)
              if fd < 0: failed()
              return fd
          finally: os.close(root)
      def forget():
          os.sync()
          with open("/proc/sys/vm/drop_caches", "w") as file: file.write("2")
      def content(known, mount=M):
          fd = opened(known, mount=mount)
          try: return os.read(fd, 1000)
          finally: os.close(fd)
      def stale(known, mount=M):
          for i in range(3):
              try: os.close(opened(known, mount=mount))
              except OSError as error: assert error.errno == errno.ESTALE, error
              else: raise AssertionError("it was opened")

      """#

    private static func run(
      _ script: String, in cluster: MountedCluster, at location: SourceLocation = #_sourceLocation
    ) async throws {
      try await cluster.shell.succeed(
        "cat > $LOCAL/handles.py <<'END'\n\(python)\(script)\nEND\npython3 $LOCAL/handles.py",
        seconds: 120, at: location)
    }

    /// The kernel has forgotten the inodes; names, renames and a remount do not matter.
    @Test(.needsFuse, .needsRoot) func lastLongerThanNames() async throws {
      try await MountedCluster.run(mounts: 2) { cluster in
        try await Self.run(
          """
          os.makedirs(M + "/d/e")
          for name in ["/d/e/f", "/d/g"]:
              with open(M + name, "w") as file: file.write("content of " + name)
          os.symlink("f", M + "/d/e/link")
          known = {name: handle(M + name) for name in ["", "/d", "/d/e", "/d/e/f", "/d/g"]}
          forget()
          assert content(known["/d/e/f"]) == b"content of /d/e/f"
          for name in ["", "/d", "/d/e"]:
              fd = opened(known[name], os.O_DIRECTORY)
              assert sorted(os.listdir(fd)) == sorted(os.listdir(M + name)), name
              assert os.path.samestat(os.stat("..", dir_fd=fd), os.stat(M + name + "/..")) or name == ""
              os.close(fd)
          # Moved by this mount, by the other, and with the directory.
          os.rename(M + "/d/e/f", M + "/moved")
          forget()
          assert content(known["/d/e/f"]) == b"content of /d/e/f"
          os.rename(M2 + "/moved", M2 + "/d/e/again")
          os.rename(M2 + "/d", M2 + "/c")
          for i in range(2):
              assert content(known["/d/e/f"]) == b"content of /d/e/f"
              fd = opened(known["/d/e"], os.O_DIRECTORY)
              assert "again" in os.listdir(fd)
              os.close(fd)
              forget()
          # Another mount of the same files knows them, too.
          assert content(known["/d/g"], M2) == b"content of /d/g"
          fd = opened(known["/d/g"], os.O_WRONLY | os.O_APPEND)
          os.write(fd, b", and more"); os.close(fd)
          with open(M2 + "/c/g") as file: assert file.read() == "content of /d/g, and more"
          # What is overtaken without a name is kept all the same.
          forget()
          fd = opened(known["/d/e/f"], os.O_RDWR)
          with open(M2 + "/c/e/again", "w") as file: file.write("theirs")
          os.pwrite(fd, b"C", 0); os.close(fd)
          assert content(known["/d/e/f"], M2) == b"Content of /d/e/f"
          kept = [name for name in os.listdir(M2) if "conflict" in name]
          assert len(kept) == 1 and kept[0].startswith("inode "), kept
          with open(M2 + "/" + kept[0]) as file: assert file.read() == "theirs"
          with open(LOCAL + "/known", "w") as file: file.write(repr(known))
          """, in: cluster)
        try await cluster.endMount(cluster.mount)
        try await cluster.startMount(cluster.mount)
        try await Self.run(
          """
          with open(LOCAL + "/known") as file: known = eval(file.read())
          assert content(known["/d/e/f"]) == b"Content of /d/e/f"
          assert content(known["/d/g"]) == b"content of /d/g, and more"
          os.close(opened(known["/d/e"], os.O_DIRECTORY))
          """, in: cluster)
      }
    }

    /// A file that is gone is never another; nor is a number that was made up.
    @Test(.needsFuse, .needsRoot) func ofWhatIsGoneAreStale() async throws {
      try await MountedCluster.run(mounts: 2) { cluster in
        try await Self.run(
          """
          os.mkdir(M + "/d"); os.mkdir(M + "/d/e")
          for name in "abc":
              with open(M + "/d/" + name, "w") as file: file.write(name)
          known = {name: handle(M + "/d/" + name) for name in "abce"}
          forget()
          os.remove(M + "/d/a"); os.remove(M2 + "/d/b"); os.rmdir(M2 + "/d/e")
          with open(M2 + "/new", "w") as file: file.write("new")
          os.rename(M2 + "/new", M2 + "/d/c")
          for i in range(100):
              with open(f"{M}/d/other{i}", "w") as file: file.write("other")
          for i in range(2):
              for name in "abce":
                  stale(known[name]); stale(known[name], M2)
              forget()
          # Still open here, and without a name.
          held = os.open(M + "/d/c", os.O_RDONLY)
          known = handle(M + "/d/c"); os.remove(M + "/d/c")
          assert content(known) == b"new"
          os.close(held); forget(); stale(known)
          # The kind, the number of 8 bytes in words, the high one first, and the generation.
          kind, data = handle(M + "/d/other1")
          high, low, generation = struct.unpack("III", data)
          assert content((kind, data)) == b"other" and generation != 0
          for words in [(0, 0, 0), (0, 0, generation), (0, 2, generation), (high, low, generation ^ 1),
                        (high, low ^ 0xff, generation), (high, low, 0), (0xffffffff, 0xffffffff, generation),
                        (0x80000000, 0, generation), (0x7fffffff, 0xffffffff, 0)]:
              forged = (kind, struct.pack("III", *words))
              stale(forged); forget(); stale(forged)
          assert content((kind, data)) == b"other"
          with open(M + "/d/other1") as file: assert file.read() == "other"
          """, in: cluster)
      }
    }

    /// A directory is listed page by page, each on a handle of its own from where the last one ended, while
    /// other entries come and go.
    @Test(.needsFuse) func listingsGoOnFromAnyPlace() async throws {
      try await MountedCluster.run(mounts: 2) { cluster in
        try await Self.run(
          """
          import random, threading
          libc.opendir.restype = libc.readdir.restype = ctypes.c_void_p
          libc.seekdir.argtypes = [ctypes.c_void_p, ctypes.c_long]
          libc.readdir.argtypes = libc.closedir.argtypes = [ctypes.c_void_p]
          def page(path, place, count):
              directory = libc.opendir(path.encode())
              if place: libc.seekdir(directory, place)
              names = []
              while len(names) < count and (entry := libc.readdir(directory)):
                  _, place = struct.unpack("Qq", ctypes.string_at(entry, 16))
                  assert place > 0
                  names.append((ctypes.string_at(entry + 19), place))
              libc.closedir(directory)
              return names
          def pages(path, count):
              place, names = 0, []
              while more := page(path, place, count):
                  names += more; place = more[-1][1]
                  os.listdir(path)  # so that the next page is of what is there now
              return names
          d = M + "/d"; os.mkdir(d)
          stable = {b"%06d stays" % i for i in range(1200)}
          for name in stable: open(d.encode() + b"/" + name, "w").close()
          ends = False
          def change(folder, seed):
              chance = random.Random(seed)
              while not ends:
                  path = f"{folder}/{chance.randrange(1_000_000):06d} goes {seed}"
                  open(path, "w").close()
                  if chance.random() < 0.9: os.remove(path)
          threads = [threading.Thread(target=change, args=(m + "/d", i)) for i, m in enumerate([M, M2])]
          for thread in threads: thread.start()
          try:
              for count in [31, 100, 100]:
                  names = [name for name, _ in pages(d, count)]
                  assert len(names) == len(set(names)), "an entry is told twice"
                  assert stable <= set(names), f"{len(stable - set(names))} of 1200 are not told"
          finally:
              ends = True
              for thread in threads: thread.join()
          # Places are the same on each mount.
          here, there = pages(d, 100), pages(M2 + "/d", 1000)
          assert here[2:] == there[2:] and here[0] == (b".", 1), "places differ"
          # On one handle, back and forth.
          with os.scandir(d) as entries: once = [entry.name.encode() for entry in entries]
          assert once == [name for name, _ in here[2:]]
          assert page(d, 0x7fff_ffff_ffff_ffff, 10) == []
          """, in: cluster)
      }
    }
  }
}
