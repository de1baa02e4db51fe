import DFSCore
import Testing

extension EndToEnd {
  /// Owners, permissions, times, and the limits of names, on a real mount; the lines of
  /// docs/SEMANTICS.md name these tests.
  @Suite struct PosixAttributes {
    @Test(.needsFuse, .needsRoot) func owners() async throws {
      try await PosixScript.run(
        mounts: 2,
        """
        os.umask(0); os.chmod(".", 0o777)
        write("f", "x")
        os.chown("f", 1000, 2000); os.chmod("f", 0o640)
        for path in ["f", other + "/f"]:
            found = os.stat(path)
            assert (found.st_uid, found.st_gid, stat.S_IMODE(found.st_mode)) == (1000, 2000, 0o640)
        def owner():
            assert read("f") == "x"
            os.chmod("f", 0o6755)
            with refused("EPERM"): os.chown("f", 1001, -1)
            with refused("EPERM"): os.chown("f", -1, 3000)
            os.chown("f", -1, 1000)           # to a group that he is in
            assert stat.S_IMODE(os.stat("f").st_mode) == 0o755
            os.chmod("f", 0o6755)
            with open("f", "a") as file: file.write("!")
            assert stat.S_IMODE(os.stat("f").st_mode) == 0o755   # written: not setuid any more
            os.chmod("f", 0o6755); os.truncate("f", 1)
            assert stat.S_IMODE(os.stat("f").st_mode) == 0o755
            os.mkdir("own", 0o755); write("own/mine", "")
        user(1000, [1000, 2000], owner)
        def member():
            assert read("f") == "x"
            with refused("EACCES"): write("f", "y")
            with refused("EPERM"): os.chmod("f", 0o777)
            with refused("EPERM"): os.utime("f", (1, 1))
            with refused("EACCES"): os.unlink("own/mine")
        os.chown("f", 1000, 2000); os.chmod("f", 0o640)
        user(1001, [2000], member)
        def stranger():
            with refused("EACCES"): read("f")
            with refused("EACCES"): os.listdir("closed")
        os.mkdir("closed", 0o700)
        user(1002, [1002], stranger)
        # A file whose group its owner is not in loses setgid by chmod(2).
        os.chown("f", 1000, 3000)
        user(1000, [1000], lambda: os.chmod("f", 0o2755))
        assert stat.S_IMODE(os.stat("f").st_mode) == 0o755
        # root's chown(2) clears what others could misuse, too.
        os.chmod("f", 0o6755); os.chown("f", 1001, 1001)
        assert stat.S_IMODE(os.stat("f").st_mode) == 0o755
        """)
    }

    @Test(.needsFuse, .needsRoot) func directoriesWithStickyAndSetgid() async throws {
      try await PosixScript.run(
        """
        os.umask(0); os.chmod(".", 0o777)
        os.mkdir("shared"); os.chown("shared", 0, 5000); os.chmod("shared", 0o3777)
        def one():
            write("shared/f", "x"); os.mkdir("shared/d"); os.mkfifo("shared/p")
            for name in ["f", "d", "p"]:
                assert os.stat("shared/" + name).st_gid == 5000, name
            assert os.stat("shared/d").st_mode & stat.S_ISGID
            assert not os.stat("shared/f").st_mode & stat.S_ISGID
            os.close(os.open("shared/g", os.O_CREAT | os.O_WRONLY, 0o2775))
            assert not os.stat("shared/g").st_mode & stat.S_ISGID   # not in the group
        user(1000, [1000], one)
        def two():
            for name in ["f", "p", "g"]:
                with refused("EPERM", "EACCES"): os.unlink("shared/" + name)
            with refused("EPERM", "EACCES"): os.rmdir("shared/d")
            with refused("EPERM", "EACCES"): os.rename("shared/f", "mine")
            write("shared/mine", "")
            with refused("EPERM", "EACCES"): os.rename("shared/mine", "shared/f")
        user(1001, [1001], two)
        user(1000, [1000], lambda: os.rename("shared/f", "shared/g"))
        os.umask(0o027); os.mkdir("masked"); write("masked/f", "")
        assert stat.S_IMODE(os.stat("masked").st_mode) == 0o750
        assert stat.S_IMODE(os.stat("masked/f").st_mode) == 0o640
        """)
    }

    @Test(.needsFuse) func ownersWithoutOptions() async throws {
      try await MountedCluster.run { cluster in
        try await cluster.shell.succeed(
          """
          cd $M; echo x > f; [ "$(stat -c %u:%g f)" = "$(id -u):$(id -g)" ]
          mkdir d; [ "$(stat -c %u d)" = "$(id -u)" ]
          """)
      }
    }

    /// With `relatime` reading moves times of access when they are not later than the last change or
    /// a day old; without, never.
    @Test(.needsFuse, arguments: ["rw", "relatime"]) func accessTimes(options: String) async throws
    {
      try await MountedCluster.run(mounts: 2, mountOptions: options) { cluster in
        try await cluster.shell.succeed(
          """
          cat > $LOCAL/access.py <<'END'
          import os, sys, time
          here, other, moves = sys.argv[1], sys.argv[2], sys.argv[3] == "relatime"
          os.chdir(here)
          def reading(path, body, expected):
              before = os.lstat(path); time.sleep(0.02); body(); after = os.lstat(path)
              moved = after.st_atime_ns > before.st_atime_ns
              assert moved == (expected and moves), "%s: %s" % (path, moved)
              assert after.st_ctime_ns == before.st_ctime_ns and after.st_mtime_ns == before.st_mtime_ns
              end = time.time() + 5
              while os.lstat(other + "/" + path).st_atime_ns != after.st_atime_ns:
                  assert time.time() < end, "the other mount does not see it"
                  time.sleep(0.01)
          def read():
              with open("f", "rb") as file: assert file.read() == content
          content = b"x" * 300000
          with open("f", "wb") as file: file.write(content)
          os.mkdir("d"); os.symlink("f", "s")
          reading("f", read, True)
          reading("f", read, False)                     # later than the last change
          with open("f", "ab") as file: file.write(b"y")
          content += b"y"
          reading("f", read, True)
          reading("f", read, False)
          two_days = time.time() - 2 * 86400
          reading("d", lambda: os.listdir("d"), True)
          reading("d", lambda: os.listdir("d"), False)
          reading("s", lambda: os.readlink("s"), True)
          os.utime("f", (two_days, two_days))           # the change is later
          reading("f", read, True)
          with open("f", "rb") as file: file.read()
          os.utime("f", (1, 1)); time.sleep(0.1)
          assert os.stat("f").st_atime_ns == 10**9, "what was set counts"
          END
          python3 $LOCAL/access.py $M $M2 \(options)
          """)
      }
    }

    @Test(.needsFuse) func times() async throws {
      try await PosixScript.run(
        mounts: 2,
        """
        NOW, OMIT = (1 << 30) - 1, (1 << 30) - 2
        def utimens(path, accessed, modified, flags=0):
            times = struct.pack("qqqq", *accessed, *modified)
            if libc.utimensat(-100, os.fsencode(path), times, flags) != 0:
                raise OSError(ctypes.get_errno(), "utimensat")
        def moves(path, which, body):
            # Which of the times of path (among m and c) body moves.
            before = os.lstat(path); time.sleep(0.02); body(); after = os.lstat(path)
            found = "".join(name for name, one, two in [
                ("m", before.st_mtime_ns, after.st_mtime_ns), ("c", before.st_ctime_ns, after.st_ctime_ns)]
                if two > one)
            assert found == which, "%s: %s instead of %s" % (path, found, which)
        write("f", "x"); os.mkdir("d"); os.symlink("f", "s")
        for path in ["f", "d", "s"]:
            utimens(path, (1234567890, 123456789), (981173106, 987654321), 0x100)
            for place in [path, other + "/" + path]:
                found = os.lstat(place)
                assert (found.st_atime_ns, found.st_mtime_ns) == (1234567890123456789, 981173106987654321)
            utimens(path, (0, OMIT), (0, NOW), 0x100)
            found = os.lstat(path)
            assert found.st_atime_ns == 1234567890123456789 and abs(found.st_mtime - time.time()) < 60
            utimens(path, (0, NOW), (0, OMIT), 0x100)
            assert abs(os.lstat(path).st_atime - time.time()) < 60
            assert os.lstat(path).st_mtime_ns == found.st_mtime_ns
            for second in [-1, 0, 1 << 31, 1 << 32, 9223372035]:
                utimens(path, (second, 1), (second, 999999999), 0x100)
                assert os.lstat(path).st_mtime_ns == second * 10**9 + 999999999
            utimens(path, (0, NOW), (0, NOW), 0x100)
        moves("f", "c", lambda: os.chmod("f", 0o600))
        moves("f", "c", lambda: os.chown("f", -1, -1) or os.chown("f", os.getuid(), -1))
        moves("f", "c", lambda: os.setxattr("f", "user.a", b""))
        moves("f", "c", lambda: os.link("f", "g"))
        moves("f", "c", lambda: os.unlink("g"))
        moves("f", "c", lambda: os.rename("f", "g") or os.rename("g", "f"))
        moves("f", "mc", lambda: write("f", "longer"))
        moves("f", "mc", lambda: os.truncate("f", 3))
        moves("f", "mc", lambda: os.truncate("f", 3))             # the size that it has
        with open("f", "r+") as file: moves("f", "mc", lambda: os.ftruncate(file.fileno(), 3))
        write("empty", "")
        moves("empty", "mc", lambda: write("empty", ""))          # as `: > stamp` in a Makefile
        with open("empty", "r+") as file: moves("empty", "mc", lambda: os.ftruncate(file.fileno(), 0))
        # close(2) moves no time that was told before it.
        for path in ["new", "f"]:
            file = open(path, "w"); file.write("x" * 5000); file.flush()
            before = os.fstat(file.fileno())
            time.sleep(0.05); file.close(); after = os.stat(path)
            assert (before.st_mtime_ns, before.st_ctime_ns) == (after.st_mtime_ns, after.st_ctime_ns)
            time.sleep(1.1); assert os.stat(path).st_ctime_ns == before.st_ctime_ns
        os.close(os.open("created", os.O_CREAT | os.O_WRONLY)); before = os.stat("created")
        time.sleep(1.1); assert os.stat("created").st_ctime_ns == before.st_ctime_ns
        assert os.stat(other + "/created").st_ctime_ns == before.st_ctime_ns
        moves("f", "", lambda: read("f"))
        moves("d", "mc", lambda: write("d/x", ""))
        moves("d", "", lambda: write("d/x", "more"))
        moves("d", "mc", lambda: os.rename("d/x", "d/y"))
        moves("d", "mc", lambda: os.symlink("y", "d/z"))
        moves("d", "mc", lambda: os.unlink("d/z"))
        moves("d", "mc", lambda: os.mkdir("d/e"))
        moves("d", "mc", lambda: os.rmdir("d/e"))
        moves("d", "mc", lambda: os.mkfifo("d/p"))
        moves("d", "mc", lambda: os.link("d/y", "d/l"))
        moves("d", "", lambda: os.listdir("d"))
        """)
    }

    @Test(.needsFuse) func namesAndPaths() async throws {
      try await PosixScript.run(
        mounts: 2,
        """
        names = [bytes([byte]) for byte in range(1, 256) if byte not in b"./"]
        names += [b"n" * 255, b"\\xff" * 255, "ü".encode() * 127, b"...", b"-rf", b"a\\nb", b".x"]
        here, there = os.fsencode(os.getcwd()) + b"/", os.fsencode(other) + b"/"
        for name in names:
            with open(here + name, "wb") as file: file.write(name)
        assert sorted(os.listdir(here)) == sorted(names) == sorted(os.listdir(there))
        for name in names:
            with open(there + name, "rb") as file: assert file.read() == name
            os.unlink(here + name)
        assert os.listdir(there) == []
        long = "n" * 256
        write("f", "")
        for body in [lambda: write(long, ""), lambda: os.mkdir(long), lambda: os.stat(long),
                     lambda: os.symlink("x", long), lambda: os.link("f", long), lambda: os.mkfifo(long),
                     lambda: os.rename("f", long), lambda: os.unlink(long), lambda: os.rmdir(long)]:
            with refused("ENAMETOOLONG"): body()
        os.symlink("t" * 4095, "s"); assert os.readlink(other + "/s") == "t" * 4095
        with refused("ENAMETOOLONG"): os.symlink("t" * 4096, "u")
        with refused("ENAMETOOLONG"): os.stat("d/" * 2048 + "f")
        # A path of 4,095 bytes, and one that is deeper than any path can say.
        for i in range(30):
            os.mkdir("d" * 200); os.chdir("d" * 200)
        write("deep", "deep"); os.chdir(here)
        path = ("d" * 200 + "/") * 20
        deep = path + "./" * ((4095 - len(path) - 1) // 2)
        deep += "x" * (4095 - len(deep))
        write(deep, "at the end"); assert len(deep) == 4095 and read(deep) == "at the end"
        with refused("ENAMETOOLONG"): os.stat(deep + "x")
        with refused("ENOTDIR"): os.stat("f/x")
        os.symlink("loop", "loop")
        with refused("ELOOP"): os.stat("loop")
        subprocess.check_call(["rm", "-r", "d" * 200])
        """)
    }

    @Test(.needsFuse) func whatThereIsNot() async throws {
      try await PosixScript.run(
        """
        import fcntl, select
        write("f", "x")
        with refused("EOPNOTSUPP"): os.setxattr("f", "system.posix_acl_access", struct.pack("I", 2))
        with refused("EOPNOTSUPP", "ENODATA"): os.getxattr("f", "system.posix_acl_access")
        with open("f") as file:
            with refused("ENOTTY", "EOPNOTSUPP", "ENOSYS"): fcntl.ioctl(file, 0x12345678, b"x" * 4)
            with refused("ENOTTY", "EOPNOTSUPP"): fcntl.ioctl(file, 0x80086601, b"x" * 8)  # FS_IOC_GETFLAGS
            assert select.select([file], [], [], 0)[0] == [file]
            poll = select.poll(); poll.register(file, select.POLLIN); assert poll.poll(0)
        assert subprocess.run(["ls", "-l", "f"], check=True, capture_output=True).stdout[10:11] == b" "
        """)
    }
  }
}
