/// A Python program with which the tests of `dfs rescue` make a tree, compare two, and tell what must
/// be missing: `make DIR`, `compare EXPECTED FOUND [ABSENT]`, `missing DIR SERVER …`, `paths` (reads
/// the output of `--json`). The last two print a line for each file: its path in hexadecimal, and
/// the numbers of its missing parts; ABSENT is a file of such lines.
enum RescueTree {
  static let program = #"""
    import hashlib, json, os, stat, sys

    def walk(top):
        for folder, directories, files in os.walk(os.fsencode(top)):
            for name in directories + files:
                path = os.path.join(folder, name)
                yield os.path.relpath(path, os.fsencode(top)), path

    def make(top):
        sizes = [0, 1, 2, 3, 4, 5, 7, 100, 4095, 4096, 65535, 65536, 65537, 131071, 131072, 131073,
                 131076, 262143, 262144, 262145, 1 << 20, 3000000]
        os.makedirs(top + "/a/b/c")
        for place in ["", "/a", "/a/b"]:
            for size in sizes:
                with open("%s%s/f%d" % (top, place, size), "wb") as file: file.write(os.urandom(size))
        deep = top + "".join("/d%d" % i for i in range(40))
        os.makedirs(deep)
        names = [b"with space", b"line\nbreak", b"\xff\xfe no text", b"'quotes\"", b"*?[x]", b"-rf",
                 b"\x1b[31mred", b"...", b"\\", "größe €".encode(), b"n" * 255]
        for name in names:
            with open(os.fsencode(deep) + b"/" + name, "wb") as file: file.write(name * 1000)
        os.mkdir(top + "/empty"); os.mkdir(top + "/lost+found"); os.mkdir(top + "/closed")
        open(top + "/lost+found/mine", "w").write("mine")
        open(top + "/closed/file", "w").write("closed")
        for target in ["a/f100", "nowhere", "/etc/passwd", "..", "x" * 1000]:
            os.symlink(target, top + "/link%d" % len(target))
        os.symlink("../../..", top + "/a/b/up")
        for first, second in [("/a/f3000000", "/hard1"), ("/a/f3000000", "/a/b/c/hard2"),
                              ("/closed/file", "/hard3"), ("/a/f0", "/hard4"), ("/a/f100", "/hard5")]:
            os.link(top + first, top + second)
        os.link(top + "/link6", top + "/a/hardlink", follow_symlinks=False)
        os.mkfifo(top + "/fifo", 0o640)
        os.chmod(top + "/a/f5", 0o4711); os.chmod(top + "/a/f7", 0); os.chmod(top + "/empty", 0o1777)
        for file, value in [("/a/f100", b"v" * 3000), ("/a/b", b"\0\xff"), ("/f0", b"")]:
            os.setxattr(top + file, "user.rescue", value)
        os.setxattr(top + "/f1", "user.with/slash", b"s" * 2000)
        os.chown(top + "/a/f4", 1234, 4321) if os.geteuid() == 0 else None
        for number, (_, path) in enumerate(sorted(walk(top), reverse=True)):
            os.utime(path, ns=(10**18 + number, 1234567890123456789 + number * 1000000007),
                     follow_symlinks=False)
        os.chmod(top + "/closed", 0o500)

    def facts(path):
        status = os.lstat(path)
        kind = stat.S_IFMT(status.st_mode)
        content = b""
        if kind == stat.S_IFREG: content = hashlib.sha256(open(path, "rb").read()).digest()
        if kind == stat.S_IFLNK: content = os.readlink(path)
        owner = (status.st_uid, status.st_gid) if os.geteuid() == 0 else None
        mode = None if kind == stat.S_IFLNK else oct(status.st_mode)
        extended = {} if kind == stat.S_IFLNK else {
            name: os.getxattr(path, name) for name in os.listxattr(path) if name.startswith("user.")}
        return kind, mode, status.st_mtime_ns, content, owner, extended

    def shared(tree):
        groups = {}
        for name, path in tree.items():
            status = os.lstat(path)
            if not stat.S_ISDIR(status.st_mode): groups.setdefault(status.st_ino, set()).add(name)
        return {frozenset(group) for group in groups.values() if len(group) > 1}

    def compare(expected, found, absent=None):
        absent = {bytes.fromhex(line.split()[0]) for line in open(absent)} if absent else set()
        one = {name: path for name, path in walk(expected) if name not in absent}
        two = dict(walk(found))
        assert one.keys() == two.keys(), (one.keys() ^ two.keys())
        for name in one:
            assert facts(one[name]) == facts(two[name]), (name, facts(one[name]), facts(two[name]))
        assert shared(one) == shared(two), shared(one) ^ shared(two)
        assert len(one) > 50

    def missing(top, *servers):
        servers = {int(name[-1]) - 1 for name in servers}
        for name, path in walk(top):
            if not stat.S_ISREG(os.lstat(path).st_mode): continue
            content = open(path, "rb").read()
            quarter, x = len(content) // 4, hashlib.md5(content).digest()[15] % 4
            lengths = [quarter] * 3 + [len(content) - 3 * quarter]
            parts = [str(part + 1) for part in range(4) if lengths[part] > 0
                     and not {(part + x) % 4, (part + x + 3) % 4} & servers]
            if parts: print(name.hex(), " ".join(parts))

    def paths():
        lines = [json.loads(line) for line in sys.stdin]
        assert lines[-1]["kind"] == "summary" and lines[-1]["incomplete"] == len(lines) - 1, lines[-1]
        for line in lines[:-1]:
            path = line.get("pathHexadecimal") or line["path"].encode().hex()
            print(path, " ".join(map(str, line["missingParts"])))

    globals()[sys.argv[1]](*sys.argv[2:])
    """#
}
