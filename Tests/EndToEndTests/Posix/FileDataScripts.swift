/// Scripts of Python that a local directory and a mount must both pass, in the current directory.
enum FileDataScripts {
  static let common = """
    import ctypes, errno, fcntl, mmap, os, sys, threading, time
    libc = ctypes.CDLL(None, use_errno=True)
    KEEP, PUNCH, COLLAPSE, ZERO, INSERT = 1, 2, 8, 16, 32
    def fallocate(fd, mode, offset, count):
        long = ctypes.c_int64
        if libc.fallocate(fd, mode, long(offset), long(count)) != 0:
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code))
    def refused(code, call, *words):
        try:
            call(*words)
        except OSError as error:
            assert error.errno == code, error
        else:
            raise AssertionError("it was not refused")
    def make(name, data):
        with open(name, "wb") as file: file.write(data)
    def content(name):
        with open(name, "rb") as file: return file.read()
    def child(body):
        process = os.fork()
        if process == 0:
            try:
                body()
                os._exit(0)
            except BaseException as error:
                print(repr(error), file=sys.stderr, flush=True)
                os._exit(1)
        return process
    def ended(*processes):
        for process in processes: assert os.waitpid(process, 0)[1] == 0
    """

  /// fallocate(2): space, holes, zeros; small files are in memory, large ones on the spool's disk.
  static let allocation = """
    for size in (10000, 5000000):
        data = bytearray(os.urandom(size))
        make("a", data)
        for stored in (False, True):
            fd = os.open("a", os.O_RDWR)
            if not stored: os.pwrite(fd, data[:1], 0)
            fallocate(fd, 0, size - 100, 1000)
            assert os.fstat(fd).st_size == size + 900
            fallocate(fd, KEEP, size, 1 << 20)
            assert os.fstat(fd).st_size == size + 900
            fallocate(fd, PUNCH | KEEP, 5000, 3001)
            fallocate(fd, PUNCH | KEEP, size + 800, 70000)
            assert os.fstat(fd).st_size == size + 900
            fallocate(fd, ZERO, 100, 17)
            fallocate(fd, ZERO | KEEP, size + 890, 100)
            assert os.fstat(fd).st_size == size + 900
            fallocate(fd, ZERO, size + 890, 110)
            assert os.fstat(fd).st_size == size + 1000
            expected = bytearray(data) + bytearray(1000)
            expected[5000:8001] = bytes(3001)
            expected[100:117] = bytes(17)
            assert os.pread(fd, size + 2000, 0) == expected
            for mode in (COLLAPSE, INSERT, 64, COLLAPSE | KEEP):
                try: fallocate(fd, mode, 0, 4096)
                except OSError as error: assert error.errno in (errno.EOPNOTSUPP, errno.EINVAL)
                else: assert not os.getcwd().endswith("mount1")
                if not os.getcwd().endswith("mount1"): break
            os.close(fd)
            if os.getcwd().endswith("mount1"): assert content("a") == expected
            make("a", data)
    fd = os.open("a", os.O_RDONLY)
    refused(errno.EBADF, fallocate, fd, 0, 0, 10)
    os.close(fd)
    fd = os.open("new", os.O_RDWR | os.O_CREAT)
    os.posix_fallocate(fd, 0, 3000000)
    os.close(fd)
    assert content("new") == bytes(3000000)
    """

  /// lseek(2) with SEEK_DATA and SEEK_HOLE. What is stored is all data on a mount; no hole may be
  /// reported where a mapping has written.
  static let seeking = """
    fd = os.open("s", os.O_RDWR | os.O_CREAT)
    os.ftruncate(fd, 20 << 20)
    os.pwrite(fd, b"x" * 65536, 8 << 20)
    seek = lambda offset, whence: os.lseek(fd, offset, whence)
    assert seek(0, os.SEEK_DATA) == 8 << 20
    assert seek(0, os.SEEK_HOLE) == 0
    assert seek(8 << 20, os.SEEK_HOLE) == (8 << 20) + 65536
    assert seek((8 << 20) + 7, os.SEEK_DATA) == (8 << 20) + 7
    refused(errno.ENXIO, seek, 9 << 20, os.SEEK_DATA)
    refused(errno.ENXIO, seek, 20 << 20, os.SEEK_HOLE)
    refused(errno.ENXIO, seek, 21 << 20, os.SEEK_DATA)
    fallocate(fd, PUNCH | KEEP, 8 << 20, 65536)
    refused(errno.ENXIO, seek, 0, os.SEEK_DATA)
    # What a mapping wrote and nobody flushed is data.
    with mmap.mmap(fd, 20 << 20) as mapped:
        mapped[12 << 20] = 1
        found = seek(0, os.SEEK_DATA)
        assert found <= 12 << 20, found
    assert seek(0, os.SEEK_DATA) == 12 << 20
    os.close(fd)
    fd = os.open("s", os.O_RDONLY)
    assert seek(5, os.SEEK_DATA) == 12 << 20
    assert seek(12 << 20, os.SEEK_HOLE) > 12 << 20
    refused(errno.ENXIO, seek, 20 << 20, os.SEEK_DATA)
    assert seek(-1, os.SEEK_END) == (20 << 20) - 1
    os.close(fd)
    os.unlink("s")
    """

  /// copy_file_range(2): stored and unstored, within one file, into the middle, beyond the end.
  static let copying = """
    data = os.urandom(3000000)
    make("from", data)
    a = os.open("from", os.O_RDWR)
    for written in (False, True):
        if written: os.pwrite(a, data[:9], 0)
        b = os.open("to", os.O_RDWR | os.O_CREAT | os.O_TRUNC)
        done = 0
        while done < len(data):
            count = os.copy_file_range(a, b, len(data) - done, done, done)
            assert count > 0
            done += count
        assert os.copy_file_range(a, b, 100, len(data), 0) == 0
        assert os.pread(b, 4000000, 0) == data
        assert os.copy_file_range(a, b, 1000, 2999500, 77) == 500
        assert os.copy_file_range(a, b, 1000, 5, 4000000) == 1000
        assert os.fstat(b).st_size == 4001000
        expected = bytearray(data) + bytearray(1001000)
        expected[77:577] = data[2999500:]
        expected[4000000:] = data[5:1005]
        assert os.pread(b, 5000000, 0) == expected
        os.close(b)
        assert content("to") == expected
    assert os.copy_file_range(a, a, 1000, 0, 2000) == 1000
    assert os.pread(a, 1000, 2000) == data[:1000]
    refused(errno.EINVAL, os.copy_file_range, a, a, 1000, 0, 500)
    os.close(a)
    c = os.open("from", os.O_WRONLY | os.O_APPEND)
    d = os.open("to", os.O_RDONLY)
    refused(errno.EBADF, os.copy_file_range, d, c, 10, 0, 0)
    os.close(c)
    os.close(d)
    """

  /// mmap(2): shared and private, after close, between two processes, beyond what was written.
  static let mapping = """
    make("mapped", bytes(300000))
    fd = os.open("mapped", os.O_RDWR)
    shared = mmap.mmap(fd, 300000)
    private = mmap.mmap(fd, 300000, flags=mmap.MAP_PRIVATE)
    shared[5000:5005] = b"hello"
    private[0:7] = b"private"
    shared.flush()
    assert os.pread(fd, 8, 5000) == b"hello" + bytes(3)
    assert os.pread(fd, 7, 0) == bytes(7)
    os.pwrite(fd, b"written", 200000)
    assert shared[200000:200007] == b"written"
    def other():
        fd = os.open("mapped", os.O_RDWR)
        with mmap.mmap(fd, 300000) as mine:
            assert mine[5000:5005] == b"hello"
            mine[100] = 77
            deadline = time.monotonic() + 10
            while mine[101] != 78: assert time.monotonic() < deadline
        os.close(fd)
    process = child(other)
    deadline = time.monotonic() + 10
    while shared[100] != 77: assert time.monotonic() < deadline
    shared[101] = 78
    ended(process)
    # Written through the mapping after the descriptor was closed.
    os.close(fd)
    shared[250000:250005] = b"after"
    shared.close()
    private.close()
    expected = bytearray(300000)
    expected[5000:5005], expected[200000:200007] = b"hello", b"written"
    expected[100], expected[101], expected[250000:250005] = 77, 78, b"after"
    assert content("mapped") == expected
    fd = os.open("late", os.O_RDWR | os.O_CREAT)
    os.ftruncate(fd, 1 << 20)
    with mmap.mmap(fd, 1 << 20) as late:
        os.close(fd)
        late[500000:500004] = b"late"
    assert content("late")[499999:500005] == bytes(1) + b"late" + bytes(1)
    fd = os.open("late", os.O_RDONLY)
    refused(errno.EACCES, mmap.mmap, fd, 4096)
    os.close(fd)
    """

  /// O_APPEND by many processes, with files kept open and opened anew for each line.
  static let appending = """
    make("log", b"")
    def append(who, keeps):
        fd = None
        for i in range(60):
            if fd is None: fd = os.open("log", os.O_WRONLY | os.O_APPEND)
            os.write(fd, f"{who} {i} {'x' * (i * 7 % 300)}\\n".encode())
            if not keeps: os.close(fd); fd = None
        if fd is not None: os.close(fd)
    ended(*[child(lambda: append(who, who % 2 == 0)) for who in range(8)])
    lines = content("log").decode().splitlines()
    assert len(lines) == 8 * 60, len(lines)
    for who in range(8):
        mine = [line.split()[1] for line in lines if line.startswith(f"{who} ")]
        assert mine == [str(i) for i in range(60)], (who, mine)
    """

  /// Reading while writing, removing, replacing, truncating: descriptors go on.
  static let openFiles = """
    # A reader sees what is written so far, and never anything else.
    make("grows", b"")
    def write():
        with open("grows", "r+b", buffering=0) as file:
            for i in range(400): file.write(b"%08d" % i * 512)
    process = child(write)
    seen, deadline = 0, time.monotonic() + 30
    with open("grows", "rb", buffering=0) as file:
        while seen < 400 * 4096:
            assert time.monotonic() < deadline, seen
            data = file.read(8)
            if not data: continue
            while len(data) < 8: data += file.read(8 - len(data))
            assert data == b"%08d" % (seen // 4096), (seen, data)
            seen += 8
    ended(process)
    # Removed while it is open: written and read on.
    a, b = os.open("gone", os.O_RDWR | os.O_CREAT), os.open("gone", os.O_RDONLY)
    os.write(a, b"one")
    os.unlink("gone")
    os.write(a, b"two")
    os.ftruncate(a, 5)
    assert os.pread(b, 10, 0) == b"onetw" and os.fstat(b).st_size == 5
    assert os.fstat(b).st_nlink == 0
    refused(errno.ENOENT, os.stat, "gone")
    os.close(a)
    assert os.pread(b, 10, 0) == b"onetw"
    os.close(b)
    # Replaced while it is open, for reading and for writing.
    make("old", b"old" * 100000)
    make("new", b"new" * 90000)
    a, b = os.open("old", os.O_RDONLY), os.open("old", os.O_RDWR)
    os.pwrite(b, b"OLD", 0)
    os.rename("new", "old")
    assert os.pread(a, 400000, 0) == b"OLD" + b"old" * 99999
    os.pwrite(b, b"Old", 0)
    assert os.pread(a, 3, 0) == b"Old"
    assert content("old") == b"new" * 90000
    os.close(a)
    os.close(b)
    assert content("old") == b"new" * 90000
    # Truncated while others have it open; what comes back is zeros.
    make("cut", b"c" * 500000)
    a, b = os.open("cut", os.O_RDONLY), os.open("cut", os.O_RDWR)
    assert len(os.pread(a, 500000, 0)) == 500000
    os.truncate("cut", 1000)
    assert os.pread(a, 500000, 0) == b"c" * 1000
    os.ftruncate(b, 400000)
    assert os.pread(a, 500000, 0) == b"c" * 1000 + bytes(399000)
    os.pwrite(b, b"tail", 300000)
    os.ftruncate(b, 300002)
    os.ftruncate(b, 300010)
    assert os.pread(a, 500000, 299999) == bytes(1) + b"ta" + bytes(8)
    os.ftruncate(b, 0)
    assert os.pread(a, 10, 0) == b""
    os.close(a)
    os.close(b)
    assert content("cut") == b""
    refused(errno.EINVAL, os.truncate, "cut", -1)
    """

  /// flock(2) and fcntl(2): who waits, who is refused, and what a close or an end gives back.
  static let locking = """
    make("lock", bytes(100))
    def flock(mode): fcntl.flock(fd, mode | fcntl.LOCK_NB)
    def lockf(mode, count, start): fcntl.lockf(fd, mode | fcntl.LOCK_NB, count, start)
    fd = os.open("lock", os.O_RDWR)
    def elsewhere(call, *words, code=None):
        def body():
            global fd
            fd = os.open("lock", os.O_RDWR)
            if code: refused(code, call, *words)
            else: call(*words)
        ended(child(body))
    flock(fcntl.LOCK_SH)
    elsewhere(flock, fcntl.LOCK_SH)
    elsewhere(flock, fcntl.LOCK_EX, code=errno.EAGAIN)
    flock(fcntl.LOCK_EX)
    elsewhere(flock, fcntl.LOCK_SH, code=errno.EAGAIN)
    flock(fcntl.LOCK_UN)
    elsewhere(flock, fcntl.LOCK_EX)
    lockf(fcntl.LOCK_EX, 10, 20)
    elsewhere(lockf, fcntl.LOCK_EX, 10, 30)
    elsewhere(lockf, fcntl.LOCK_EX, 10, 29, code=errno.EAGAIN)
    elsewhere(lockf, fcntl.LOCK_SH, 0, 0, code=errno.EAGAIN)
    os.close(os.open("lock", os.O_RDONLY))  # gives back all locks of the process
    elsewhere(lockf, fcntl.LOCK_EX, 0, 0)
    # One at a time, waiting: no update is lost.
    make("count", b"0")
    def count(lock):
        for i in range(40):
            fd = os.open("count", os.O_RDWR)
            lock(fd)
            number = int(os.pread(fd, 20, 0)) + 1
            os.pwrite(fd, str(number).encode(), 0)
            os.close(fd)
    for lock in (lambda fd: fcntl.flock(fd, fcntl.LOCK_EX), lambda fd: fcntl.lockf(fd, fcntl.LOCK_EX)):
        make("count", b"0")
        ended(*[child(lambda: count(lock)) for i in range(4)])
        assert content("count") == b"160", content("count")
    """

  /// With a spool of 16 MiB.
  static let fullSpool = """
    fd = os.open("full", os.O_RDWR | os.O_CREAT)
    data, written = os.urandom(1 << 20), 0
    try:
        while written < 20 << 20: written += os.write(fd, data)
        raise AssertionError("it was not refused")
    except OSError as error:
        assert error.errno == errno.ENOSPC, error
    assert 12 << 20 < written <= 16 << 20, written
    assert os.fstat(fd).st_size == written
    refused(errno.ENOSPC, fallocate, fd, 0, 0, 30 << 20)
    assert os.fstat(fd).st_size == written
    # What is there can be written again, and a hole costs nothing.
    assert os.pwrite(fd, data[:5000], 4096 * 7 + 1) == 5000
    os.ftruncate(fd, 30 << 20)
    assert os.pread(fd, 30 << 20, written) == bytes((30 << 20) - written)
    refused(errno.ENOSPC, os.pwrite, fd, data, 28 << 20)
    # Space that is given back can be used.
    fallocate(fd, PUNCH | KEEP, 0, 8 << 20)
    assert os.pwrite(fd, data, 28 << 20) == len(data)
    os.ftruncate(fd, 10 << 20)
    expected = bytearray((data * 10)[:10 << 20])
    expected[:8 << 20] = bytes(8 << 20)
    os.close(fd)
    assert content("full") == expected
    make("after", data * 12)
    assert content("after") == data * 12
    """

  /// In a directory beside the mounts of `$M` and `$M2`.
  static let errors = """
    mount, other = os.environ["M"], os.environ["M2"]
    make(mount + "/f", b"f" * 1000)
    fd = os.open(mount + "/f", os.O_RDWR)
    refused(errno.EFBIG, os.ftruncate, fd, 1 << 60)
    refused(errno.EFBIG, os.pwrite, fd, b"x", 1 << 56)
    refused(errno.ENOSPC, fallocate, fd, 0, 0, 1 << 52)
    assert os.fstat(fd).st_size == 1000
    os.close(fd)
    # Removed by another mount while it is written here.
    fd = os.open(mount + "/stale", os.O_RDWR | os.O_CREAT)
    os.write(fd, b"x")
    os.fsync(fd)
    os.write(fd, b"y")
    os.unlink(other + "/stale")
    os.fsync(fd)
    os.close(fd)
    assert not os.path.exists(mount + "/stale")
    kept = [name for name in os.listdir(mount) if name.startswith("stale (conflict ")]
    assert [content(mount + "/" + name) for name in kept] == [b"xy"]
    assert content(mount + "/f") == b"f" * 1000
    """
}
