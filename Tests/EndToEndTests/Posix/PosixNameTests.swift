import DFSCore
import DFSTestSupport
import Testing

extension EndToEnd {
  /// What POSIX says of names and attributes, operation by operation, on a real mount; the lines of
  /// docs/SEMANTICS.md name these tests.
  @Suite struct PosixNames {
    @Test(.needsFuse) func hardLinks() async throws {
      try await PosixScript.run(
        mounts: 2,
        """
        write("a", "one"); os.mkdir("d")
        before = os.stat("a").st_ctime_ns
        os.link("a", "d/b"); os.link("d/b", "c")
        one, two = os.stat("a"), os.stat("d/b")
        assert one.st_ino == two.st_ino and one.st_nlink == 3 and one.st_ctime_ns > before
        soon(lambda: os.stat(other + "/c").st_nlink == 3)
        write("d/b", "two, longer"); assert read("a") == "two, longer" and read("c") == "two, longer"
        with open("a", "a") as file:
            file.write("!"); file.flush()
            assert os.stat("c").st_size == 12
        write(other + "/c", "three"); assert read("a") == "three"
        with open("a") as file:
            os.unlink("a"); os.unlink("d/b")
            assert os.fstat(file.fileno()).st_nlink == 1
            os.unlink("c")
            assert os.fstat(file.fileno()).st_nlink == 0 and file.read() == "three"
            with refused("ENOENT"): name_again(file, "again")
        write("a", "x"); os.link("a", "b")
        os.rename("a", "b"); assert os.path.exists("a")  # two names of one file: nothing happens
        with refused("EEXIST"): os.link("a", "b")
        with refused("EPERM"): os.link("d", "e")
        os.symlink("a", "s"); os.link("s", "t", follow_symlinks=False)
        assert os.readlink("t") == "a" and os.lstat("s").st_nlink == 2
        """)
    }

    @Test(.needsFuse) func extendedAttributes() async throws {
      try await PosixScript.run(
        mounts: 2,
        """
        write("f", "x"); os.mkdir("d"); os.mkfifo("p")
        for path in ["f", "d"]:
            before = os.stat(path).st_ctime_ns
            for name, value in [("user.a", b"1"), ("user.b/c", b""), ("user." + "n" * 250, bytes(range(256))),
                                ("trusted.t", b"t"), ("security.s", b"s"), ("user.big", b"v" * 65536)]:
                os.setxattr(path, name, value)
                assert os.getxattr(path, name) == value
                soon(lambda: attribute(other + "/" + path, name) == value)
            assert os.stat(path).st_ctime_ns > before
            assert len(os.listxattr(path)) == 6
            with refused("EEXIST"): os.setxattr(path, "user.a", b"2", os.XATTR_CREATE)
            with refused("ENODATA"): os.setxattr(path, "user.z", b"2", os.XATTR_REPLACE)
            os.setxattr(path, "user.a", b"2", os.XATTR_REPLACE); assert os.getxattr(path, "user.a") == b"2"
            with refused("ENODATA"): os.getxattr(path, "user.z")
            with refused("ENODATA"): os.removexattr(path, "user.z")
            with refused("ERANGE"): os.setxattr(path, "user." + "n" * 251, b"")
            with refused("E2BIG"): os.setxattr(path, "user.more", b"v" * 65537)
            with refused("ENOSPC"):
                for i in range(4): os.setxattr(path, "user.big%d" % i, b"v" * 65536)
            with refused("EOPNOTSUPP"): os.setxattr(path, "system.posix_acl_access", struct.pack("I", 2))
            with refused("EOPNOTSUPP"): os.setxattr(path, "other.name", b"x")
            buffer = ctypes.create_string_buffer(1)
            assert libc.getxattr(os.fsencode(path), b"user.big", None, 0) == 65536
            assert libc.getxattr(os.fsencode(path), b"user.big", buffer, 1) == -1
            assert ctypes.get_errno() == errno.ERANGE
            assert libc.listxattr(os.fsencode(path), buffer, 1) == -1 and ctypes.get_errno() == errno.ERANGE
        with refused("EPERM"): os.setxattr("p", "user.a", b"1")
        os.setxattr("p", "trusted.t", b"1"); assert os.listxattr("p") == ["trusted.t"]
        os.removexattr("f", "user.a"); soon(lambda: "user.a" not in os.listxattr(other + "/f"))
        def stranger():
            assert "trusted.t" not in os.listxattr("f") and "security.s" in os.listxattr("f")
            with refused("ENODATA", "EPERM"): os.getxattr("f", "trusted.t")
            with refused("EPERM", "EACCES"): os.setxattr("f", "trusted.u", b"")
            with refused("EPERM", "EACCES"): os.setxattr("f", "security.u", b"")
            with refused("EACCES"): os.setxattr("f", "user.u", b"")
        user(65534, [65534], stranger)
        with open("f", "r+") as file:
            os.unlink("f"); os.setxattr(file.fileno(), "user.late", b"1")
            assert "user.late" in os.listxattr(file.fileno()) and len(os.listxattr(file.fileno())) > 6
        """)
    }

    @Test(.needsFuse) func toldAttributes() async throws {
      try await PosixScript.run(
        """
        import hashlib
        text = "content" * 30000
        write("f", text); os.mkdir("d")
        assert os.getxattr("f", "user.dfs.md5").decode() == hashlib.md5(text.encode()).hexdigest()
        x = int(hashlib.md5(text.encode()).hexdigest(), 16) % 4
        parts = dict(word.split("=") for word in os.getxattr("f", "user.dfs.placement").decode().split())
        for part in range(1, 5):
            holders = {(part - 1 + x) % 4 + 1, (part - 2 + x) % 4 + 1}
            assert set(parts[str(part)].split(",")) == {"DFS%d" % i for i in holders}, parts
        assert os.getxattr("f", "user.dfs.health") == b"complete"
        assert os.listxattr("f") == []
        for name in ["md5", "placement", "health", "more"]:
            with refused("EPERM"): os.setxattr("f", "user.dfs." + name, b"")
            with refused("EPERM"): os.removexattr("f", "user.dfs." + name)
            with refused("ENODATA"): os.getxattr("d", "user.dfs." + name)
        subprocess.check_call(["cp", "-a", "f", "g"])
        assert os.listxattr("g") == []
        """)
      try await MountedCluster.run { cluster in
        try await cluster.shell.succeed("head -c 500000 /dev/urandom > $M/f")
        let health =
          "python3 -c 'import os; print(os.getxattr(\"'$M'/f\", \"user.dfs.health\").decode())'"
        try await cluster.servers.kill(ServerIndex(0))
        try await eventually("one server down is told", within: .seconds(20)) {
          try await cluster.shell.bash(health).line.hasPrefix("reduced ")
        }
        try await cluster.servers.kill(ServerIndex(1))
        try await eventually("a part without servers is told", within: .seconds(20)) {
          let line = try await cluster.shell.bash(health).line
          return line.hasPrefix("incomplete ") && line.contains("=none")
        }
      }
    }

    @Test(.needsFuse) func renameFlags() async throws {
      try await PosixScript.run(
        mounts: 2,
        """
        NOREPLACE, EXCHANGE, WHITEOUT = 1, 2, 4
        write("a", "a"); write("b", "b"); os.mkdir("d"); os.mkdir("d/e"); write("d/f", "f")
        with refused("EEXIST"): renameat2("a", "b", NOREPLACE)
        renameat2("a", "c", NOREPLACE); assert read("c") == "a" and not os.path.exists("a")
        renameat2("b", "c", EXCHANGE); assert (read("b"), read("c")) == ("a", "b")
        assert (read(other + "/b"), read(other + "/c")) == ("a", "b")
        os.mkdir("top")
        before = os.stat("top").st_nlink, os.stat(".").st_nlink
        renameat2("d", "top/x", NOREPLACE); write("y", "y")
        assert (os.stat("top").st_nlink, os.stat(".").st_nlink) == (before[0] + 1, before[1] - 1)
        renameat2("top/x", "y", EXCHANGE)     # a directory for a file
        assert read("top/x") == "y" and read("y/f") == "f" and read(other + "/y/f") == "f"
        assert (os.stat("top").st_nlink, os.stat(".").st_nlink) == before
        with refused("ENOENT"): renameat2("b", "nothing", EXCHANGE)
        with refused("EINVAL"): renameat2("y", "y/e", EXCHANGE)
        with refused("EINVAL"): renameat2("y", "y/e/z", 0)
        with refused("EINVAL"): renameat2("b", "c", NOREPLACE | EXCHANGE)
        with refused("EINVAL", "EPERM"): renameat2("b", "w", WHITEOUT)
        with refused("ENOTEMPTY", "EEXIST"): os.rename("top", "y")
        with refused("ENOTDIR"): os.rename("y", "b")
        with refused("EISDIR"): os.rename("b", "y")
        os.mkdir("empty"); os.rename("y", "empty"); assert read("empty/f") == "f"
        with open("c") as file:
            os.rename("b", "c"); assert file.read() == "b" and read("c") == "a"
        # Two who move to one name without replacing: one of them does.
        for i in range(20):
            write("one", "one"); write(other + "/two", "two")
            pid = os.fork()
            if pid == 0:
                try: renameat2("one", "goal", NOREPLACE); os._exit(0)
                except OSError as error: os._exit(1 if error.errno == errno.EEXIST else 2)
            try: renameat2(other + "/two", other + "/goal", NOREPLACE); mine = 0
            except OSError as error: mine = 1 if error.errno == errno.EEXIST else 2
            theirs = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
            assert {mine, theirs} == {0, 1}, (mine, theirs)
            assert read("goal") == ("two" if mine == 0 else "one")
            for name in ["one", "two", "goal"]:
                if os.path.exists(name): os.unlink(name)
        """)
    }

    @Test(.needsFuse) func specialFiles() async throws {
      try await PosixScript.run(
        mounts: 2,
        """
        os.mkfifo("p", 0o640)
        assert stat.S_ISFIFO(os.stat("p").st_mode) and stat.S_ISFIFO(os.stat(other + "/p").st_mode)
        pid = os.fork()
        if pid == 0: write("p", "through"); os._exit(0)
        assert read("p") == "through"; os.waitpid(pid, 0)
        with socket.socket(socket.AF_UNIX) as server, socket.socket(socket.AF_UNIX) as client:
            server.bind("s"); server.listen(); client.connect("s")
            assert stat.S_ISSOCK(os.stat(other + "/s").st_mode)
        for kind in [stat.S_IFCHR, stat.S_IFBLK]:
            for major, minor in [(1, 3), (255, 255), (4095, 1048575)]:
                os.mknod("n", kind | 0o600, os.makedev(major, minor))
                def isRight(path):
                    found = os.stat(path)
                    device = (os.major(found.st_rdev), os.minor(found.st_rdev))
                    return stat.S_IFMT(found.st_mode) == kind and device == (major, minor)
                assert isRight("n"), os.stat("n")
                # The name that was removed may still be known there for a moment.
                soon(lambda: os.path.exists(other + "/n") and isRight(other + "/n"))
                with refused("EACCES"): open("n")  # a mount is nodev unless it is told otherwise
                os.unlink("n")
        os.mknod("r", stat.S_IFREG | 0o644); assert os.stat("r").st_size == 0 and read(other + "/r") == ""
        with refused("EEXIST"): os.mkfifo("p")
        os.chmod(".", 0o777)
        def stranger():
            with refused("EPERM"): os.mknod("n", stat.S_IFCHR, os.makedev(1, 3))
            os.mkfifo("q")
        user(65534, [65534], stranger)
        """)
    }
  }
}
