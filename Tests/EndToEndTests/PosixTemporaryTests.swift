import DFSCore
import Testing

extension EndToEnd {
  /// What has no name (yet, or any more) and is open, on a real mount; the lines of
  /// docs/SEMANTICS.md name these tests.
  @Suite struct PosixNameless {
    @Test(.needsFuse) func temporaryFiles() async throws {
      try await PosixScript.run(
        mounts: 2,
        """
        def named(file, path):
            name_again(file, path); return os.stat(path)
        os.mkdir("d"); os.chmod("d", 0o2755)
        try: fd = os.open("d", os.O_TMPFILE | os.O_RDWR, 0o640)
        except OSError as error:
            assert error.errno == errno.EOPNOTSUPP, error   # Linux before 6.1
            sys.exit(0)
        file = os.fdopen(fd, "r+")
        assert os.listdir("d") == [] and os.fstat(fd).st_nlink == 0
        file.write("x" * 200000); file.flush(); os.fsync(fd)
        os.setxattr(fd, "user.a", b"1"); os.fchmod(fd, 0o604); os.utime(fd, ns=(5, 7))
        with open("/proc/self/fd/%d" % fd) as again: assert again.read() == "x" * 200000
        assert os.listdir(other + "/d") == []
        found = named(file, "d/f")
        assert found.st_ino == os.fstat(fd).st_ino and found.st_nlink == 1
        assert found.st_mtime_ns == 7 and stat.S_IMODE(found.st_mode) == 0o604
        # Whole at once, though it is still open.
        assert read(other + "/d/f") == "x" * 200000 and os.getxattr(other + "/d/f", "user.a") == b"1"
        file.write("more"); file.close()
        assert read(other + "/d/f") == "x" * 200000 + "more"
        os.link("d/f", "g"); assert os.stat("d/f").st_nlink == 2
        with os.fdopen(os.open(".", os.O_TMPFILE | os.O_RDWR), "r+") as file:
            file.write("short")
            with refused("EEXIST"): name_again(file, "g")
            name_again(file, "h"); name_again(file, "i")
            assert os.fstat(file.fileno()).st_nlink == 2
        assert read("h") == "short" and read(other + "/i") == "short"
        with os.fdopen(os.open(".", os.O_TMPFILE | os.O_RDWR | os.O_EXCL), "r+") as file:
            with refused("ENOENT"): name_again(file, "j")
        with refused("EINVAL"): os.open(".", os.O_TMPFILE | os.O_RDONLY)
        for i in range(20): os.close(os.open(".", os.O_TMPFILE | os.O_WRONLY))
        assert sorted(os.listdir(".")) == ["d", "g", "h", "i"]
        """)
    }

    @Test(.needsFuse) func whatIsOpenAndRemoved() async throws {
      try await PosixScript.run(
        """
        def gone(fd):
            time.sleep(1.1)                 # the kernel's own memory is over
            assert os.fstat(fd).st_nlink == 0
        write("f", "x"); os.link("f", "g"); os.setxattr("f", "user.a", b"1")
        with open("f", "r+") as file:
            os.unlink("f"); os.unlink("g"); gone(file.fileno())
            assert os.getxattr(file.fileno(), "user.a") == b"1"
            file.write("longer"); file.flush(); os.ftruncate(file.fileno(), 3)
            file.seek(0); assert file.read() == "lon"
            os.fchmod(file.fileno(), 0o600); os.utime(file.fileno(), ns=(5, 7))
            found = os.fstat(file.fileno())
            assert (stat.S_IMODE(found.st_mode), found.st_mtime_ns, found.st_size) == (0o600, 7, 3)
        os.mkdir("d"); fd = os.open("d", os.O_RDONLY); os.rmdir("d"); gone(fd)
        assert os.listdir(fd) == []
        with refused("ENOENT"): os.open("x", os.O_CREAT | os.O_WRONLY, dir_fd=fd)
        os.close(fd)
        os.mkdir("d"); os.mkdir("e"); fd = os.open("e", os.O_RDONLY); os.rename("d", "e"); gone(fd)
        os.mkdir("w"); os.chdir("w"); os.rmdir("../w"); gone(os.open(".", os.O_PATH)); os.chdir("/")
        """)
    }
  }
}
