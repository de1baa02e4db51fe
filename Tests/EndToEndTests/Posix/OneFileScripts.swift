/// Programs in Python for `EndToEnd.OneFile`.
enum OneFileScripts {
  /// `python3 SCRIPT FILE MODEL SEED SECONDS`: changes FILE in turns with others that run the same, and
  /// the file MODEL on the local disk in the same way; before each turn FILE has the size, content,
  /// mode, links and times that MODEL says. Between turns, while others have theirs, it opens, looks at
  /// and closes FILE, which changes nothing.
  static let turns = #"""
    import fcntl, json, os, random, sys, time

    name, model, seed, seconds = sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4])
    second = name + ".link"
    random.seed(seed)
    lock = os.open(model + ".lock", os.O_RDWR | os.O_CREAT)
    flags = [os.O_RDWR, os.O_RDWR | os.O_CREAT, os.O_RDWR | os.O_APPEND]
    kept = []  # descriptors, with whether they append
    said = []  # what was done last, for people


    def reopen():
        kind = random.choice(flags)
        kept.append((os.open(name, kind, 0o644), kind & os.O_APPEND != 0))
        if len(kept) > 3: os.close(kept.pop(0)[0])


    def read(fd):
        return os.pread(fd, 1 << 20, 0)


    def check(facts, content, when):
        looks = [("stat", os.stat(name))] + [("fstat", os.fstat(fd)) for fd, _ in kept]
        for what, found in looks:
            seen = dict(size=found.st_size, mode=found.st_mode & 0o7777, links=found.st_nlink)
            wanted = dict(size=len(content), mode=facts["mode"], links=facts["links"])
            if facts["time"]: seen["time"], wanted["time"] = found.st_mtime_ns, facts["time"]
            assert seen == wanted, f"{when} {what}: {seen}, not {wanted}; {facts['last']}, here {said}"
        fd = os.open(name, os.O_RDONLY)
        for fd, what in [(fd, "new")] + [(fd, "kept") for fd, _ in kept]:
            found = read(fd)
            assert found == content, (
                f"{when} {what}: {len(found)} bytes, {len(content)} were written, the first "
                f"{len(os.path.commonprefix([found, content]))} alike; {facts['last']}, here {said}")
            if what == "new": os.close(fd)


    def change(facts, content):
        fd, appends = random.choice(kept)
        size, data = len(content), os.urandom(random.choice([1, 24, 4096, random.randint(1, 9000)]))
        what = random.choice(
            ["extend", "extend", "extend", "write", "hole", "cut", "cut by name", "empty", "mode", "owner",
             "time", "link", "nothing"])
        facts["last"] = f"{what} by {seed}"
        if what in ("extend", "write", "hole"):
            place = dict(extend=size, write=random.randint(0, size), hole=size + 3000)[what]
            if appends:
                # With O_APPEND, pwrite(2) appends.
                place = size
            assert os.pwrite(fd, data, place) == len(data)
            content += bytes(max(0, place - size))
            content[place:place + len(data)] = data
            facts["time"] = 0
        elif what in ("cut", "cut by name"):
            to = random.choice([random.randint(0, size), size + 100])
            if what == "cut": os.ftruncate(fd, to)
            else: os.truncate(name, to)
            content[to:] = bytes(max(0, to - size))
            facts["time"] = 0
        elif what == "empty":
            os.close(os.open(name, os.O_WRONLY | os.O_TRUNC))
            content.clear()
            facts["time"] = 0
        elif what == "mode":
            facts["mode"] = random.choice([0o600, 0o644, 0o640])
            random.choice([lambda: os.fchmod(fd, facts["mode"]), lambda: os.chmod(name, facts["mode"])])()
        elif what == "owner":
            os.fchown(fd, os.getuid(), os.getgid())
        elif what == "time":
            facts["time"] = time.time_ns() - random.randint(10**9, 10**12)
            os.utime(name, ns=(facts["time"], facts["time"]))
        elif what == "link":
            if facts["links"] == 1: os.link(name, second)
            else: os.unlink(second)
            facts["links"] = 3 - facts["links"]
        if random.random() < 0.3: os.fsync(fd)
        if random.random() < 0.3: reopen()


    def turn():
        with open(model, "r+b") as file:
            header = file.readline()
            facts, content = json.loads(header), bytearray(file.read())
            check(facts, content, "before")
            change(facts, content)
            said.append(facts["last"])
            del said[:-5]
            check(facts, content, "after")
            if len(content) > 200_000:
                os.truncate(name, 0)
                content.clear()
                facts["time"] = 0
            file.seek(0)
            file.write(json.dumps(facts).encode() + b"\n" + content)
            file.truncate()


    def beside():
        what = random.choice(["open", "open", "create", "owner", "stat", "list", "sync"])
        if what == "open": os.close(os.open(name, os.O_RDONLY))
        elif what == "create": os.close(os.open(name, os.O_RDWR | os.O_CREAT, 0o644))
        elif what == "owner": os.fchown(random.choice(kept)[0], os.getuid(), os.getgid())
        elif what == "stat": os.stat(name)
        elif what == "list":
            # Who has a turn may remove the second name in between.
            try: [entry.stat() for entry in os.scandir(os.path.dirname(name))]
            except FileNotFoundError as error: assert error.filename == second, error
        elif what == "sync": os.fsync(random.choice(kept)[0])


    reopen()
    turns, end = 0, time.monotonic() + seconds
    while time.monotonic() < end:
        fcntl.flock(lock, fcntl.LOCK_EX)
        turn()
        fcntl.flock(lock, fcntl.LOCK_UN)
        for _ in range(random.randint(0, 4)): beside()
        turns += 1
    print(turns)
    """#
}
