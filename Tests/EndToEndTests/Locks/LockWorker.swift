/// A program of Python that locks, reads and writes records of two files on a mount by chance, and tells a log on the
/// local disk of each call before and after it.
///
///     worker.py work DIRECTORY MOUNT NUMBER OPERATIONS SEED   in processes of its own, some of which kill themselves
///     worker.py turn DIRECTORY MOUNT NUMBER READY             waits for one lock, and adds a record
///     worker.py look DIRECTORY MOUNT NUMBER                   reads all records
///
/// DIRECTORY, of the local disk, has the logs, `NUMBER.log`; `work` goes on until there is a file `calm`. Each line of a
/// log has a time of CLOCK_MONOTONIC: `s` a process begins, `c` it calls, `r` what came of it, `k` it is about to be
/// killed, `d` it is dead. `ranges` is locked by fcntl and OFD locks, `whole` by flock. All eight bytes of a record are
/// the same number, which is written once; where nothing was written it is 0.
enum LockWorker {
  /// Of each file.
  static let records = 12
  static let recordBytes = 600

  static let text = """
    import errno, fcntl, mmap, os, random, signal, struct, sys, threading, time
    mode, directory, mount, number = sys.argv[1:4] + [int(sys.argv[4])]
    WIDTH, RECORDS, FILES = \(recordBytes), \(records), ["ranges", "whole"]
    BLANK = b"\\0" * WIDTH
    log = os.open(f"{directory}/{number}.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    shared = mmap.mmap(-1, 4096)  # with the processes before and after: how many calls, how many numbers
    calls = 0
    opened, held = {}, {}  # of each file: its descriptor; which records are held, and whether exclusively

    NAMES = {**errno.errorcode, errno.EDEADLK: "EDEADLK"}  # it has another name, too

    def note(*words): os.write(log, (" ".join(map(str, words)) + "\\n").encode())
    def now(): return time.monotonic_ns()
    def count(place):
        value = struct.unpack_from("Q", shared, place)[0] + 1
        struct.pack_into("Q", shared, place, value)
        return value
    class Stuck(Exception): pass
    def ring(*_): raise Stuck
    signal.signal(signal.SIGALRM, ring)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGALRM])

    def call(words, body, shown=lambda value: ""):
        '''Returns what body does, or None; and the name of the error.'''
        global calls
        calls += 1
        note("c", now(), *words)
        try: value, failure = body(), None
        except OSError as error: value, failure = None, NAMES[error.errno]
        except Stuck: value, failure = None, "STUCK"
        note("r", now(), failure or "ok", *([] if failure else [shown(value)]))
        if words[0] in ("lock", "unlock", "read", "write"): count(0)
        return value, failure

    def open_file(file, patience=90):
        '''Another descriptor, once the mount is there.'''
        end = time.monotonic() + patience
        while True:
            opened[file], failure = call(
                ["open", file, 0, 0], lambda: os.open(f"{mount}/{FILES[file]}", os.O_RDWR))
            held[file] = {}
            if not failure: return
            if time.monotonic() > end: sys.exit(f"{mount} does not come back: {failure}")
            time.sleep(0.05)

    def close_file(file):
        fd, held[file] = opened.pop(file), {}
        call(["close", file, 0, RECORDS], lambda: os.close(fd))

    def again(file):
        close_file(file)
        open_file(file)

    COMMANDS = {"posix": (fcntl.F_GETLK, fcntl.F_SETLK, fcntl.F_SETLKW), "ofd": (36, 37, 38)}

    def control(file, family, command, kind, first, length):
        '''fcntl(2); up to the end, and beyond it, where the last record is in it.'''
        length = 0 if first + length == RECORDS else length * WIDTH
        request = struct.pack("hhqqi4x", kind, 0, first * WIDTH, length, 0)
        return fcntl.fcntl(opened[file], COMMANDS[family][command], request)

    def lock(file, family, first, length, exclusive, waits=True):
        def body():
            if waits: signal.setitimer(signal.ITIMER_REAL, 60)
            try:
                if family == "flock":
                    kind = fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH
                    fcntl.flock(opened[file], kind | (0 if waits else fcntl.LOCK_NB))
                else:
                    kind = fcntl.F_WRLCK if exclusive else fcntl.F_RDLCK
                    control(file, family, 2 if waits else 1, kind, first, length)
            finally:
                signal.setitimer(signal.ITIMER_REAL, 0)
        words = ["lock", file, first, length, family, "write" if exclusive else "read", "waits" if waits else "tries"]
        failure = call(words, body)[1]
        if not failure: held[file].update({record: exclusive for record in range(first, first + length)})
        return failure

    def unlock(file, family, first, length):
        def body():
            if family == "flock": fcntl.flock(opened[file], fcntl.LOCK_UN)
            else: control(file, family, 1, fcntl.F_UNLCK, first, length)
        for record in range(first, first + length): held[file].pop(record, None)
        return call(["unlock", file, first, length], body)[1]

    def find(file, family, first, length, exclusive):
        def shown(answer):
            kind, _, start, size = struct.unpack("hhqqi4x", answer)[:4]
            if kind == fcntl.F_UNLCK: return "none"
            end = RECORDS if size == 0 else (start + size) // WIDTH
            return f"{'write' if kind == fcntl.F_WRLCK else 'read'} {start // WIDTH} {end - start // WIDTH}"
        kind = fcntl.F_WRLCK if exclusive else fcntl.F_RDLCK
        words = ["find", file, first, length, family, "write" if exclusive else "read"]
        return call(words, lambda: control(file, family, 0, kind, first, length), shown)[1]

    def meaning(record):
        value = struct.unpack_from("Q", record)[0]
        return value if record == struct.pack("Q", value) * (WIDTH // 8) else "torn"

    def read(file, first, length):
        def shown(data):
            data = data.ljust(length * WIDTH, b"\\0")
            return " ".join(str(meaning(data[i * WIDTH:(i + 1) * WIDTH])) for i in range(length))
        return call(["read", file, first, length],
                    lambda: os.pread(opened[file], length * WIDTH, first * WIDTH), shown)[1]

    def write(file, first, length):
        values = [(number + 1) * 10**9 + count(8) for _ in range(length)]
        data = b"".join(struct.pack("Q", value) * (WIDTH // 8) for value in values)
        def body():
            if os.pwrite(opened[file], data, first * WIDTH) != len(data): raise OSError(errno.EIO, "")
        return call(["write", file, first, length, *values], body)[1]

    def sync(file): return call(["sync", file, 0, RECORDS], lambda: os.fsync(opened[file]))[1]

    def die_soon(dice):
        '''Kills the process in one of its next calls.'''
        target, pause = calls + dice.randrange(8), dice.random() * 0.003
        def kill():
            while calls < target: time.sleep(0)
            time.sleep(pause)
            note("k", now())
            os.kill(os.getpid(), signal.SIGKILL)
        threading.Thread(target=kill, daemon=True).start()

    def runs(records):
        '''Of a set of records: each run of neighbours, as first and length.'''
        result = []
        for record in sorted(records):
            if result and sum(result[-1]) == record: result[-1][1] += 1
            else: result.append([record, 1])
        return result

    def use(file, family, dice):
        '''Reads and writes what is held, of a few ranges.'''
        for _ in range(dice.choice([1, 1, 2, 3])):
            first, length = dice.choice(runs(held[file]))
            skipped = dice.randrange(length)
            first, length = first + skipped, dice.randint(1, length - skipped)
            if dice.random() < 0.6:
                if read(file, first, length): return "failed"
            first, length = dice.choice(runs(r for r in held[file] if held[file][r]) or [(0, 0)])
            if length and dice.random() < 0.8:
                skipped = dice.randrange(length)
                if write(file, first + skipped, dice.randint(1, min(4, length - skipped))): return "failed"
        if dice.random() < 0.06: return sync(file)

    def pick(family, dice):
        if family == "flock": return 0, RECORDS
        first = dice.randrange(RECORDS)
        return first, dice.choice([1, 1, 1, 2, 2, 3, 5, RECORDS][:RECORDS]) if dice.random() < 0.9 else RECORDS - first

    def section(dice):
        family = dice.choice(["posix", "posix", "posix", "ofd", "ofd", "flock"])
        file = 1 if family == "flock" else 0
        first, length = pick(family, dice)
        length = min(length, RECORDS - first)
        if dice.random() < 0.02: die_soon(dice)
        if family != "flock" and dice.random() < 0.05:
            if find(file, family, first, length, dice.random() < 0.5) in ("EIO", "ENOTCONN"): return again(file)
        failure = lock(file, family, first, length, dice.random() < 0.65, dice.random() < 0.8)
        if failure: return None if failure in ("EAGAIN", "EDEADLK", "ENOLCK") else again(file)
        if use(file, family, dice): return again(file)
        if family == "posix" and dice.random() < 0.15:
            # A second range, before or after the first, perhaps over it.
            other, size = pick(family, dice)
            failure = lock(file, family, other, min(size, RECORDS - other), dice.random() < 0.5)
            if failure and failure != "EDEADLK" or not failure and use(file, family, dice): return again(file)
        elif dice.random() < 0.15:
            # Another kind. Only the waits of processes are told when they go in circles.
            failure = lock(file, family, first, length, dice.random() < 0.5, family != "ofd")
            if failure and (family == "flock" or failure not in ("EAGAIN", "EDEADLK")): return again(file)
            if not failure and use(file, family, dice): return again(file)
        if dice.random() < 0.15: return again(file)
        parts = runs(held[file])
        if dice.random() < 0.1 and family != "flock":
            first, length = parts.pop()
            half = length // 2
            if half and unlock(file, family, first, half): return again(file)
            if use(file, family, dice) or unlock(file, family, first + half, length - half): return again(file)
        for first, length in parts:
            if unlock(file, family, first, length): return again(file)

    def begin(): note("s", now(), mount)

    def work(quota, seed):
        life = 0
        while True:
            child = os.fork()
            if child == 0:
                dice = random.Random(f"{seed} {number} {life}")
                begin()
                for file in range(2): open_file(file)
                while struct.unpack_from("Q", shared)[0] < quota or not os.path.exists(directory + "/calm"):
                    section(dice)
                for file in range(2): close_file(file)
                os._exit(0)
            status = os.waitpid(child, 0)[1]
            note("d", now())
            if os.waitstatus_to_exitcode(status) != -signal.SIGKILL: sys.exit(os.waitstatus_to_exitcode(status))
            life += 1

    if mode == "work":
        work(int(sys.argv[5]), sys.argv[6])
    elif mode == "turn":
        begin()
        open_file(0)
        open(sys.argv[5], "w").close()
        assert not lock(0, "posix", 0, 1, True)
        assert not read(0, 0, 1) and not write(0, 0, 1)
        assert not unlock(0, "posix", 0, 1)
    elif mode == "look":
        begin()
        for file, family in enumerate(["posix", "flock"]):
            open_file(file)
            assert not lock(file, family, 0, RECORDS, False)
            assert not read(file, 0, RECORDS)
            assert not unlock(file, family, 0, RECORDS)
    """
}
