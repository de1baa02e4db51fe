import DFSCore
import DFSMount
import Testing

extension OnAMount {
  /// Readers of what another mount publishes to the file that they have open.
  @Suite struct Following {
    private static let python = #"""
      import os, subprocess, sys, time
      here, there = os.environ["M"] + "/f", os.environ["M2"] + "/f"
      def write(text, path=there, flags=os.O_TRUNC):
          fd = os.open(path, os.O_WRONLY | os.O_CREAT | flags, 0o644)
          os.write(fd, text); os.close(fd)
      def append(text): write(text, flags=os.O_APPEND)
      def until(what, expected):
          begin = time.monotonic()
          while (got := what()) != expected:
              assert time.monotonic() - begin < 5, (got, expected)
              time.sleep(0.01)
      def seen(path=here):
          "The size as a process sees it that does not have the file open."
          return int(subprocess.check_output(["stat", "-c", "%s", path]))
      def more(fd, expected):
          data = b""
          begin = time.monotonic()
          while len(data) < len(expected):
              assert time.monotonic() - begin < 5, data
              data += os.read(fd, 1 << 20)
              time.sleep(0.01)
          assert data == expected, (data[:100], expected[:100])

      """#

    private static func run(
      _ script: String, options: [String] = ["entry_timeout=60,attr_timeout=60"],
      at location: SourceLocation = #_sourceLocation
    ) async throws {
      try await Mounted.run(mounts: 2, options: options) { mounted in
        mounted.files.set { $0.keepsReplaced = true }
        try await mounted.succeed(
          "python3 - <<'END'\n\(python)\(script)\nEND", at: location)
      }
    }

    /// By read(2) alone, and by fstat(2) before it; with sizes within a page, and over its end.
    @Test(.needsFuse, arguments: ["pass", "os.fstat(fd)", "os.stat(here)"])
    func aReaderAtTheEndGoesOn(look: String) async throws {
      try await Self.run(
        """
        write(b"")
        fd = os.open(here, os.O_RDONLY)
        assert os.read(fd, 100) == b""
        for i in range(16):
            text = b"%08d" % i * [1, 3, 600, 20_000][i % 4]
            append(text)
            data = b""; begin = time.monotonic()
            while len(data) < len(text):
                assert time.monotonic() - begin < 5, (i, len(data))
                \(look); data += os.read(fd, 1 << 16)
                time.sleep(0.01)
            assert data == text, i
            assert os.fstat(fd).st_size == os.lseek(fd, 0, os.SEEK_CUR)
        # All of it is there, in the pages as on the servers.
        with open(there, "rb") as file: whole = file.read()
        assert os.pread(fd, 1 << 22, 0) == whole
        with open(here, "rb") as file: assert file.read() == whole
        """)
    }

    /// It keeps the version that it reads, though it is told where that ends; then it goes on.
    @Test(.needsFuse) func aReaderInTheMiddleKeepsItsVersion() async throws {
      try await Self.run(
        """
        size = 8 << 20
        for next in [3 << 20, 8 << 20, 9 << 20]:
            write(b"old." * (size // 4))
            with open(here, "rb") as file: assert len(file.read()) == size
            fd = os.open(here, os.O_RDONLY)
            assert os.read(fd, 4096) == b"old." * 1024
            write(b"new!" * (next // 4))
            until(seen, next)
            assert os.fstat(fd).st_size == os.stat(here).st_size == size
            rest = b""
            while data := os.read(fd, 300_000):
                rest += data
                if len(rest) % 4 == 0 and len(rest) < 3_000_000: assert seen() == next
            assert rest == b"old." * (size // 4 - 1024), (len(rest), rest.count(b"new!"))
            # It has come to its end.
            until(lambda: os.fstat(fd).st_size, next)
            assert os.read(fd, 4096) == (b"new!" * 1024 if next > size else b"")
            os.lseek(fd, 0, os.SEEK_SET); assert os.read(fd, 4096) == b"new!" * 1024
            os.close(fd)
        """)
    }

    /// What copies a file reads it once, and is told its end, whatever is published meanwhile.
    @Test(.needsFuse) func aCopyIsOfOneVersion() async throws {
      try await Self.run(
        """
        for size in [10, 5000, 1 << 20]:
            write(b"o" * size)
            fd = os.open(here, os.O_RDONLY)
            assert os.read(fd, size) == b"o" * size
            write(b"n" * (size + 10_000))
            until(seen, size + 10_000)
            assert os.read(fd, 1 << 20) == b"", "the end was to be told"
            more(fd, b"n" * 10_000)
            os.close(fd)
        """)
    }

    /// Who is at the end goes on when nobody reads what was before, and no sooner: the kernel has the pages of
    /// one version.
    @Test(.needsFuse) func readersOfOneVersionGoOnTogether() async throws {
      try await Self.run(
        """
        write(b"0123456789")
        first, second = [os.open(here, os.O_RDONLY) for i in range(2)]
        assert os.read(first, 100) == b"0123456789" and os.read(second, 4) == b"0123"
        append(b"more")
        until(seen, 14)
        for i in range(20):
            assert os.read(first, 100) == b"" and os.fstat(first).st_size == 10
        # A new one has what is there now.
        third = os.open(here, os.O_RDONLY)
        assert os.read(third, 100) == b"0123456789more"
        append(b", and more")
        assert os.read(second, 100) == b"456789"
        assert os.read(second, 100) == b""
        more(third, b", and more")
        data = {first: b"", second: b""}
        def both():
            for fd in data: data[fd] += os.read(fd, 100)
            return set(data.values())
        until(both, {b"more, and more"})
        """)
    }

    /// That it knew the end once does not count when it reads anew.
    @Test(.needsFuse) func aReaderThatTurnsBackKeepsItsVersion() async throws {
      try await Self.run(
        """
        program = "import os, sys; fd = os.open(sys.argv[1], 0); [print(os.read(fd, int(n)).decode()) for n in sys.stdin]"
        write(b"0123456789")
        with subprocess.Popen([sys.executable, "-u", "-c", program, here], text=True, bufsize=1,
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
            def other(count):
                child.stdin.write(f"{count}\\n")
                return child.stdout.readline().strip()
            fd = os.open(here, os.O_RDONLY); assert os.read(fd, 100) == b"0123456789"
            assert other(4) == "0123"
            write(b"abcdefghijklmn")
            until(seen, 14)
            for i in range(3): assert os.read(fd, 100) == b""
            os.lseek(fd, 0, os.SEEK_SET); assert os.read(fd, 4) == b"0123"
            assert other(100) == "456789"
            for i in range(5): assert other(100) == ""
            os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
            assert os.read(fd, 100) == b"456789"
            until(lambda: other(100), "klmn")
            child.stdin.close()
        """)
    }

    /// Also when its descriptor is closed, and another one of the process is at the end.
    @Test(.needsFuse) func aMappingKeepsItsVersion() async throws {
      try await Self.run(
        """
        import ctypes, errno, mmap
        libc = ctypes.CDLL(None, use_errno=True)
        libc.mmap.restype = ctypes.c_void_p
        libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t] + [ctypes.c_int] * 3 + [ctypes.c_long]
        libc.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
        def mapping():
            fd = os.open(here, os.O_RDONLY)
            place = libc.mmap(None, 4096, mmap.PROT_READ, mmap.MAP_SHARED, fd, 0)
            os.close(fd)
            return None if place == ctypes.c_void_p(-1).value else place
        write(b"old")
        old = mapping(); assert ctypes.string_at(old, 4) == b"old\\0"
        fd = os.open(here, os.O_RDONLY); assert os.read(fd, 100) == b"old"
        write(b"newer")
        until(seen, 5)
        for i in range(5):
            assert os.fstat(fd).st_size == 3 and os.read(fd, 100) == b"" and ctypes.string_at(old, 4) == b"old\\0"
        assert mapping() is None and ctypes.get_errno() == errno.ENODEV
        libc.munmap(old, 4096)
        more(fd, b"er")
        new = mapping(); assert ctypes.string_at(new, 6) == b"newer\\0"
        """)
    }

    @Test(.needsFuse) func aReaderOfWhatWasReplacedKeepsIt() async throws {
      try await Self.run(
        """
        write(b"old")
        fd = os.open(here, os.O_RDONLY)
        assert os.read(fd, 100) == b"old"
        write(b"new, and longer", there + ".new"); os.rename(there + ".new", there)
        until(seen, 15)
        for i in range(5):
            assert os.fstat(fd).st_size == 3 and os.read(fd, 100) == b"" and os.pread(fd, 100, 0) == b"old"
        # What is renamed stays the file that it was.
        fd = os.open(here, os.O_RDONLY); assert os.read(fd, 100) == b"new, and longer"
        os.rename(there, there + ".1"); write(b"newest")
        with open(there + ".1", "ab") as file: file.write(b"; late")
        more(fd, b"; late")
        """)
    }

    /// `tail -f` starts anew where a file got shorter, as copytruncate of logrotate makes it.
    @Test(.needsFuse) func aReaderSeesThatItWasCutOff() async throws {
      try await Self.run(
        """
        write(b"0123456789")
        fd = os.open(here, os.O_RDONLY)
        assert os.read(fd, 100) == b"0123456789"
        write(b"")
        until(lambda: os.fstat(fd).st_size, 0)
        append(b"anew")
        os.lseek(fd, 0, os.SEEK_SET)
        more(fd, b"anew")
        """)
    }

    /// Whoever may write keeps what he opened, so that what others closed is kept beside what he writes.
    @Test(.needsFuse) func aWriterDoesNotGoOn() async throws {
      try await Self.run(
        """
        write(b"old")
        fd = os.open(here, os.O_RDWR); assert os.read(fd, 100) == b"old"
        append(b"er")
        until(seen, 5)
        for i in range(5): assert os.read(fd, 100) == b"" and os.fstat(fd).st_size == 3
        os.write(fd, b"!"); os.close(fd)
        with open(there, "rb") as file: assert file.read() == b"old!"
        # A reader beside one who wrote and closed goes on with what others write then.
        fd = os.open(here, os.O_RDONLY); os.read(fd, 100)
        write(b", here", here, os.O_APPEND)
        more(fd, b", here")
        append(b", there")
        more(fd, b", there")
        """)
    }
  }
}
